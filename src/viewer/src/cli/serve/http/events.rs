// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `/events`: a stream of server-sent events, and `/filter`, which checks its query.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::super::page::{Mistake, Query, Source, Viewer, event};
use super::connection::Client;
use super::resources::{Answer, Asked, Body, answer, refuse};
use crate::json::quoted;

/// The maximum number of streams.
const STREAMS_MAX: usize = 16;

/// How often something is sent if there is nothing new, so that a client that has disappeared
/// is noticed.
const BEAT: Duration = Duration::from_secs(5);

/// The minimum time between two events: nobody reads faster, and computing them takes time from
/// the sampler if there are few processors.
const PAUSE: Duration = Duration::from_millis(250);

/// A stream of events.  It ends when it is dropped.
pub struct Stream {
    events: mpsc::Receiver<Bytes>,
    client: Arc<Client>,
    task: JoinHandle<()>,
}

impl Stream {
    /// Returns the next event, once the client has accepted almost all of the last one.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let event = std::task::ready!(Pin::new(&mut self.events).poll_recv(context));
        self.client.extend();
        Poll::Ready(event.map(Frame::data))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Responds with a stream of events for a query.
pub fn respond(asked: &Asked<'_>) -> Answer {
    let page = asked.page;
    if let Some(refused) = refuse_other_sites(asked) {
        return refused;
    }
    let query = match Query::parse(asked.query, &page.source) {
        Ok(query) => query,
        Err(mistake) => return wrong(&mistake),
    };
    if page.feed.viewers() >= STREAMS_MAX {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n");
    }
    if asked.is_head {
        return refuse(StatusCode::OK, "");
    }
    let (sender, events) = mpsc::channel(1);
    let (viewer, source) = (page.feed.view(), Arc::clone(&page.source));
    asked.client.start_stream();
    let task = tokio::spawn(send(viewer, query, source, sender));
    let stream = Stream { events, client: Arc::clone(asked.client), task };
    answer(StatusCode::OK, "text/event-stream", Body::Stream(stream))
}

/// Sends an event for each snapshot.  An event is computed when the client has room for it, in
/// another thread, so that it delays nobody, and describes the last snapshot.
async fn send(mut viewer: Viewer, query: Query, source: Arc<Source>, sender: mpsc::Sender<Bytes>) {
    let query = Arc::new(query);
    // The first event describes the last snapshot.
    viewer.state.mark_changed();
    let mut start = "retry:1000\n";
    while let Ok(room) = sender.reserve().await {
        let text = match timeout(BEAT, viewer.state.changed()).await {
            Err(_) => "event:beat\ndata:\n\n".into(),
            Ok(Err(_)) => return,
            Ok(Ok(())) => {
                let state = viewer.state.borrow_and_update().clone();
                if state.snapshot.is_none() && state.error.is_none() {
                    continue;
                }
                let (query, source) = (Arc::clone(&query), Arc::clone(&source));
                match spawn_blocking(move || format!("{start}data:{}\n\n", event(&state, &query, &source))).await {
                    Ok(text) => {
                        start = "";
                        text
                    }
                    Err(_) => return,
                }
            }
        };
        room.send(text.into());
        sleep(PAUSE).await;
    }
}

/// Responds with the mistake in a filter, or null.
pub fn check(asked: &Asked<'_>) -> Answer {
    if let Some(refused) = refuse_other_sites(asked) {
        return refused;
    }
    let text = match Query::parse(asked.query, &asked.page.source) {
        Ok(_) => "null".into(),
        Err(Mistake { name, column, text }) => {
            let column = column.map_or_else(|| "null".into(), |column| column.to_string());
            format!("{{\"name\":{},\"column\":{column},\"text\":{}}}", quoted(&name), quoted(&text))
        }
    };
    answer(StatusCode::OK, "application/json", Body::full(text.into()))
}

fn wrong(Mistake { name, column, text }: &Mistake) -> Answer {
    let place = column.map_or_else(String::new, |column| format!("character {}: ", column + 1));
    answer(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", Body::full(format!("{name}: {place}{text}\n").into()))
}

/// Refuses requests that pages of other sites make: they cannot read anything, but could take
/// all streams.
fn refuse_other_sites(asked: &Asked<'_>) -> Option<Answer> {
    let site = asked.headers.get("sec-fetch-site")?;
    let is_own = site == "same-origin" || site == "none";
    (!is_own).then(|| refuse(StatusCode::FORBIDDEN, "only for the page of this server\n"))
}
