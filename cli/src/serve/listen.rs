//! Which connections are open, and for how long?
//!
//! Connections are counted, and one that neither sends a request nor takes an answer is closed: a client that hangs
//! holds nothing for long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// Lets in so many connections at a time.
pub struct Gate {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    idle: Duration,
}

impl Gate {
    /// A gate in front of `listener`.
    pub fn new(listener: std::net::TcpListener, limits: &Limits) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            slots: Arc::new(Semaphore::new(limits.connections)),
            idle: limits.idle,
        })
    }
}

impl Listener for Gate {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        // Never closed, so there is always a permit to wait for.
        let slot = self.slots.clone().acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are small; without it they may wait for the client's next packet.
        let _ = stream.set_nodelay(true);
        (Timed::new(stream, slot, self.idle), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What requests know of their connection: while one is at work, silence is no fault of the client.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<AtomicUsize>);

impl Connection {
    /// Marks a request at work until the guard is dropped.
    pub fn at_work(&self) -> AtWork {
        self.0.fetch_add(1, Ordering::Relaxed);
        AtWork(self.0.clone())
    }

    fn is_at_work(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Connected<IncomingStream<'_, Gate>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Gate>) -> Self {
        stream.io().connection.clone()
    }
}

/// A request at work.
pub struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection with a deadline that every written byte puts off. Read bytes do not: a request that trickles in byte by
/// byte would never end.
pub struct Timed {
    stream: TcpStream,
    connection: Connection,
    deadline: Pin<Box<Sleep>>,
    idle: Duration,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Timed {
    fn new(stream: TcpStream, slot: Option<OwnedSemaphorePermit>, idle: Duration) -> Self {
        Self {
            stream,
            connection: Connection::default(),
            deadline: Box::pin(tokio::time::sleep(idle)),
            idle,
            _slot: slot,
        }
    }

    fn put_off(&mut self) {
        self.deadline.as_mut().reset(Instant::now() + self.idle);
    }

    /// What a wait on the stream amounts to: more waiting, or the end.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        while self.deadline.as_mut().poll(context).is_ready() {
            if !self.connection.is_at_work() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.put_off();
        }
        Poll::Pending
    }

    fn written<T>(
        &mut self,
        outcome: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Pending => self.wait(context),
            ready => {
                self.put_off();
                ready
            }
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.wait(context),
            ready => ready,
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
