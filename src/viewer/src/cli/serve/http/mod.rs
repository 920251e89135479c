// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The HTTP server.  It runs in one thread, apart from the sampler, which no client can
//! delay.

mod hosts;
mod metrics;
mod resources;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use self::hosts::Hosts;
use super::published::Published;

/// The maximum number of clients.  A further client replaces the oldest one, so that clients
/// that send nothing do not lock out others.
const CLIENTS_MAX: usize = 256;

/// The maximum time until a request has arrived, and until its response has been sent.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const CLIENT_TIME: Duration = Duration::from_secs(30);

/// The maximum size of a request, and the maximum number of its headers.
const REQUEST_BYTES: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// The time to wait if no client can be accepted, for example because there are too many
/// open files on the system.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves requests for ever.
///
/// # Errors
/// Returns an error if the server cannot be started.
pub fn serve(listener: TcpListener, hosts: Hosts, published: &Arc<Published>) -> Result<Infallible> {
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.context("cannot start the server")?;
    listener.set_nonblocking(true).context("cannot start the server")?;
    let hosts = Arc::new(hosts);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot start the server")?;
        let mut clients = VecDeque::<JoinHandle<()>>::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            clients.retain(|client| !client.is_finished());
            if clients.len() >= CLIENTS_MAX
                && let Some(oldest) = clients.pop_front()
            {
                oldest.abort();
            }
            clients.push_back(tokio::spawn(client(stream, Arc::clone(&hosts), Arc::clone(published))));
        }
    })
}

/// Serves one request of a client.
async fn client(stream: TcpStream, hosts: Arc<Hosts>, published: Arc<Published>) {
    let respond = service_fn(|request| {
        let response = resources::respond(&request, &hosts, &published);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = Builder::new()
        .keep_alive(false)
        // A client may close its side after the request.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), respond);
    // A client that breaks the rules or disappears has only itself to inform.
    let _ = timeout(CLIENT_TIME, connection).await;
}
