// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The connection of a client, and how long it may last.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The maximum time until a response has been sent, and until a client has accepted an event of
/// a stream.
const CLIENT_TIME: Duration = Duration::from_secs(30);

/// The connection of a client.
pub struct Client {
    socket: OwnedReadHalf,
    deadline: Mutex<Instant>,
    /// Whether the client reads a stream.
    pub is_stream: Arc<AtomicBool>,
    streams: Notify,
}

impl Client {
    /// Returns a client and its connection.
    pub fn new(socket: TcpStream) -> (Arc<Self>, Connection) {
        let (socket, writer) = socket.into_split();
        let client = Arc::new(Self {
            socket,
            deadline: Mutex::new(Instant::now() + CLIENT_TIME),
            is_stream: Arc::default(),
            streams: Notify::new(),
        });
        (Arc::clone(&client), Connection { client, writer })
    }

    /// Starts a stream, which ends when the client closes its side.
    pub fn start_stream(&self) {
        self.is_stream.store(true, Ordering::Relaxed);
        self.streams.notify_one();
    }

    /// Starts the time limit again, because the client has accepted an event.
    pub fn extend(&self) {
        *self.deadline() = Instant::now() + CLIENT_TIME;
    }

    fn deadline(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the client has exceeded its time.
    pub async fn is_late(&self) {
        loop {
            let deadline = *self.deadline();
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    /// Waits until the client of a stream closes its side, or sends anything else, which it has
    /// no reason to do.
    pub async fn is_closed(&self) {
        self.streams.notified().await;
        let _ = self.socket.as_ref().peek(&mut [0]).await;
    }
}

/// The connection, for the server.
pub struct Connection {
    client: Arc<Client>,
    writer: OwnedWriteHalf,
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let socket: &TcpStream = self.client.socket.as_ref();
        loop {
            ready!(socket.poll_read_ready(context))?;
            match socket.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}
