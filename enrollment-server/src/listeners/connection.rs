//! One connection from its handshake to its end: what the peer is given time for, and how it is closed.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Limits, edge::Edge, peer::Peer};
use crate::metrics::Cut;

/// Streams that one HTTP/2 connection may have open (RFC 9113 §5.1.2 recommends no less).
const H2_STREAMS: u32 = 100;
/// What an HTTP/2 peer may send ahead of us, per stream and per connection. Bodies are small: the defaults of the
/// library (1 MiB each) would let 4,096 connections fill 4 GiB.
const H2_STREAM_WINDOW: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// After an answer that ends a connection, how long and how much is read and thrown away, so that a peer that is still
/// sending reads the answer instead of a reset (RFC 9112 §9.6). What is thrown away costs no memory, and a peer that
/// wants to send more may as well connect again: the time is what bounds it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Which HTTP a connection speaks. ALPN decides; without it, HTTP/1.1 (RFC 9113 §3.2: h2 over TLS needs ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

/// Serves one connection until it ends, is cut, or has drained after `shutdown`.
/// `abandon` ends it whatever is in flight. Returns why, if the server ended it.
pub(super) async fn serve<S>(
    stream: S,
    http: Http,
    peer: Peer,
    edge: Arc<Edge>,
    limits: Arc<Limits>,
    shutdown: &CancellationToken,
    abandon: &CancellationToken,
) -> Option<Cut>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(http));
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = edge.service(peer, Arc::clone(&activity));
    let watch = Watch { activity: &activity, limits: &limits, shutdown, abandon };
    match http {
        Http::One => drive(http1_builder(&limits).serve_connection(io, service), watch).await,
        Http::Two => drive(http2_builder(&limits).serve_connection(io, service), watch).await,
    }
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The library's header timeout also runs while a kept-alive connection is idle; `Activity` tells the two apart.
    builder.header_read_timeout(None).max_buf_size(limits.header_bytes.max(Limits::LEAST_HEADER_BYTES));
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .max_concurrent_streams(H2_STREAMS)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    builder
}

struct Watch<'a> {
    activity: &'a Activity,
    limits: &'a Limits,
    shutdown: &'a CancellationToken,
    abandon: &'a CancellationToken,
}

/// Drives `connection`, and beside it one timer that is set anew only when it has to fire earlier than it would.
async fn drive<C: GracefulConnection>(connection: C, watch: Watch<'_>) -> Option<Cut> {
    let mut connection = pin!(connection);
    let mut shutdown = pin!(watch.shutdown.cancelled());
    let mut abandon = pin!(watch.abandon.cancelled());
    let mut timer = pin!(sleep_until(Instant::now() + watch.limits.header_timeout));
    let mut draining = false;
    let mut ending = None;
    poll_fn(|context| {
        loop {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(ending);
            }
            if abandon.as_mut().poll(context).is_ready() {
                return Poll::Ready(Some(Cut::Drain));
            }
            if !draining && shutdown.as_mut().poll(context).is_ready() {
                draining = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            match overdue(watch.activity, watch.limits, timer.as_mut(), context) {
                None => return Poll::Pending,
                Some(Due::Closed) => return Poll::Ready(ending),
                Some(Due::SlowHeader) => return Poll::Ready(Some(Cut::SlowHeader)),
                Some(Due::Idle) => {
                    // Tells the peer (close_notify, GOAWAY) instead of vanishing; it has `LINGER` to leave.
                    ending = Some(Cut::Idle);
                    watch.activity.closing();
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    })
    .await
}

/// What a peer has run out of time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    SlowHeader,
    Idle,
    Closed,
}

/// Which deadline has passed; without one, arranges to be woken at the next.
fn overdue(
    activity: &Activity,
    limits: &Limits,
    mut timer: Pin<&mut Sleep>,
    context: &mut Context<'_>,
) -> Option<Due> {
    loop {
        let (deadline, due) = activity.deadline(limits);
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(context).is_pending() {
            return None;
        }
        if deadline <= Instant::now() {
            return Some(due);
        }
        timer.as_mut().reset(deadline);
    }
}

/// What happens on a connection, in milliseconds since it began.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    http: Http,
    in_flight: AtomicUsize,
    /// The last time a request ended or an answer moved.
    progress: AtomicU64,
    /// When the head now being read began; [`NEVER`] between requests.
    head_began: AtomicU64,
    /// When the connection began to close; [`NEVER`] before.
    closing: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Activity {
    /// A peer that connects owes a first request at once, as if its head had begun.
    fn new(http: Http) -> Self {
        Self {
            began: Instant::now(),
            http,
            in_flight: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            closing: AtomicU64::new(NEVER),
        }
    }

    /// A request head is complete. The request is in flight until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_began.store(NEVER, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn deadline(&self, limits: &Limits) -> (Instant, Due) {
        let at = |since: u64, timeout| self.began + Duration::from_millis(since) + timeout;
        let closing = self.closing.load(Ordering::Relaxed);
        if closing != NEVER {
            return (at(closing, LINGER), Due::Closed);
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            // Handlers bound themselves (`read_body`, `GuardedBody`); look again when one may have ended.
            return (Instant::now() + limits.idle_timeout, Due::Idle);
        }
        match self.head_began.load(Ordering::Relaxed) {
            NEVER => (at(self.progress.load(Ordering::Relaxed), limits.idle_timeout), Due::Idle),
            began => (at(began, limits.header_timeout), Due::SlowHeader),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// HTTP/1 sends nothing between requests, so that a byte begins a head. HTTP/2 sends window updates and pings:
    /// there the idle timeout bounds a head.
    fn received(&self) {
        if self.http == Http::One
            && self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_began.load(Ordering::Relaxed) == NEVER
        {
            self.head_began.store(self.now(), Ordering::Relaxed);
        }
    }

    fn moved(&self) {
        self.progress.store(self.now(), Ordering::Relaxed);
    }

    fn closing(&self) {
        if self.closing.load(Ordering::Relaxed) == NEVER {
            self.closing.store(self.now(), Ordering::Relaxed);
        }
    }
}

/// A request being worked on.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.moved();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose reads and writes are noted, and which lingers when closed.
#[derive(Debug)]
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// The peer sends no more.
    ended: bool,
    /// We have said that we send no more.
    closed: bool,
    discarded: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        } else if read.is_ready() && buffer.remaining() > 0 {
            self.ended = true;
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.activity.moved();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(1..)) = written {
            self.activity.moved();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.closing();
        if !self.closed {
            match Pin::new(&mut self.stream).poll_shutdown(context) {
                Poll::Ready(Ok(())) => self.closed = true,
                ended => return ended,
            }
        }
        if self.ended { Poll::Ready(Ok(())) } else { self.poll_linger(context) }
    }
}

impl<S> Watched<S> {
    fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, ended: false, closed: false, discarded: 0 }
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads until the peer has closed too; [`Activity::deadline`] bounds the time.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while self.discarded < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.discarded += buffer.filled().len();
                }
                Poll::Ready(_closed) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}
