// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The HTTP server.  It runs in one thread, apart from the sampler, which no client can
//! delay.

mod assets;
mod connection;
mod events;
mod hosts;
mod metrics;
mod resources;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::connection::{Client, Connection};
pub use self::hosts::Hosts;
use super::page::{Feed, Source};
use super::published::Published;

/// The maximum number of clients.  A further client replaces the oldest one, so that clients
/// that send nothing do not lock out others.  Streams of events are not counted.
const CLIENTS_MAX: usize = 256;

/// The maximum time until a request has arrived.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// The maximum size of a request, and the maximum number of its headers.
const REQUEST_BYTES: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// The time to wait if no client can be accepted, for example because there are too many
/// open files on the system.
const PAUSE: Duration = Duration::from_millis(100);

/// What is served.
pub struct Served {
    /// The metrics.
    pub published: Arc<Published>,
    /// The page, if there is one.
    pub page: Option<Page>,
}

/// What the page needs.
pub struct Page {
    /// What it shows.
    pub feed: Arc<Feed>,
    /// What it can show.
    pub source: Arc<Source>,
}

/// Serves requests for ever.
///
/// # Errors
/// Returns an error if the server cannot be started.
pub fn serve(listener: TcpListener, hosts: Hosts, served: Served) -> Result<Infallible> {
    // One further thread computes events.
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(1).build();
    let runtime = runtime.context("cannot start the server")?;
    listener.set_nonblocking(true).context("cannot start the server")?;
    let (hosts, served) = (Arc::new(hosts), Arc::new(served));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot start the server")?;
        let mut clients = VecDeque::<(Arc<AtomicBool>, JoinHandle<()>)>::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            clients.retain(|(_, task)| !task.is_finished());
            let mut others = (0..clients.len()).filter(|at| !clients[*at].0.load(Ordering::Relaxed));
            if let Some(oldest) = others.next()
                && others.count() + 1 >= CLIENTS_MAX
                && let Some((_, task)) = clients.remove(oldest)
            {
                task.abort();
            }
            let (client, connection) = Client::new(stream);
            let is_stream = Arc::clone(&client.is_stream);
            let run = respond(client, connection, Arc::clone(&hosts), Arc::clone(&served));
            clients.push_back((is_stream, tokio::spawn(run)));
        }
    })
}

/// Serves one request of a client.
async fn respond(client: Arc<Client>, connection: Connection, hosts: Arc<Hosts>, served: Arc<Served>) {
    let respond = service_fn(|request| {
        let response = resources::respond(&request, &hosts, &served, &client);
        async { Ok::<_, Infallible>(response) }
    });
    let served = Builder::new()
        .keep_alive(false)
        // A client may close its side after the request.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(connection), respond);
    // A client that breaks the rules or disappears has only itself to inform.
    let (mut served, mut late, mut closed) = (pin!(served), pin!(client.is_late()), pin!(client.is_closed()));
    poll_fn(|context| {
        let is_over = served.as_mut().poll(context).is_ready()
            || late.as_mut().poll(context).is_ready()
            || closed.as_mut().poll(context).is_ready();
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
