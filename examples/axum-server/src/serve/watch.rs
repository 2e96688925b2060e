//! What a connection does, and since when: who is slow, silent or does not read is cut.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{body::StreamSlot, unread::Linger};
use crate::limits::Limits;

/// What is known of one connection. Written by its bytes and its requests, read now and then by [`Watch::check`].
///
/// A timer for each phase of each request would cost every call; this is one for the whole connection.
#[derive(Debug)]
pub(super) struct Watch {
    head: Duration,
    idle: Duration,
    write: Duration,
    began: Instant,
    /// Requests whose answers have not ended.
    under_way: AtomicU32,
    has_had_request: AtomicBool,
    is_http2: AtomicBool,
    /// Whether a request was answered whose body has not come whole.
    is_unread: AtomicBool,
    /// When the last answer ended.
    idle_since: Moment,
    /// When the first byte of a further request came.
    head_since: Moment,
    /// Since when the socket takes no bytes.
    write_since: Moment,
    /// The answers of HTTP/2. There a reader can stop one stream and take the others.
    streams: Mutex<Vec<Weak<StreamSlot>>>,
}

/// An instant that may be absent: milliseconds since the connection began, and 1 more.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on, and is to be checked again then.
    Check(Instant),
    /// Nobody uses it: it is closed in the protocol's own way.
    Idle,
    /// It is cut, for this reason.
    Cut(&'static str),
}

/// One request under way, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Watch>);

impl Watch {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            head: limits.head_timeout,
            idle: limits.idle_timeout,
            write: limits.write_timeout,
            began: Instant::now(),
            under_way: AtomicU32::new(0),
            has_had_request: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
            idle_since: Moment::default(),
            head_since: Moment::default(),
            write_since: Moment::default(),
            streams: Mutex::default(),
        })
    }

    /// The head of a request is there.
    pub(super) fn begin(self: &Arc<Self>, is_http2: bool) -> UnderWay {
        self.under_way.fetch_add(1, Relaxed);
        self.has_had_request.store(true, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        self.head_since.clear();
        UnderWay(Arc::clone(self))
    }

    /// The body of a request was dropped before its end.
    pub(super) fn leave_unread(&self) {
        self.is_unread.store(true, Relaxed);
    }

    /// Watches the reader of one answer of HTTP/2.
    pub(super) fn add_stream(&self, stream: &Arc<StreamSlot>) {
        let mut streams = self.streams();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }

    /// The longest time after which something may be due that is not known yet.
    pub(super) fn first_check(&self) -> Instant {
        due(self.began, self.head.min(self.write))
    }

    pub(super) fn check(&self, now: Instant) -> Verdict {
        let mut next = due(now, self.head.min(self.write).min(self.idle));
        if let Some(since) = self.write_since.get(self.began) {
            let end = due(since, self.write);
            if end <= now {
                return Verdict::Cut("its reader takes nothing");
            }
            next = next.min(end);
        }
        let mut streams = self.streams();
        streams.retain(|stream| match stream.upgrade() {
            Some(stream) => {
                stream.cut_if_unread(now, self.write);
                true
            }
            None => false,
        });
        drop(streams);
        if self.under_way.load(Relaxed) == 0 {
            // Bytes between the streams of HTTP/2 need not be a request.
            let is_head = !self.is_http2.load(Relaxed);
            let head_since = self.head_since.get(self.began).filter(|_| is_head);
            let (end, verdict) = match head_since {
                _ if !self.has_had_request.load(Relaxed) => (
                    due(self.began, self.head),
                    Verdict::Cut("its first request does not come"),
                ),
                Some(since) => (
                    due(since, self.head),
                    Verdict::Cut("the head of its request does not end"),
                ),
                None => {
                    let since = self.idle_since.get(self.began).unwrap_or(self.began);
                    (due(since, self.idle), Verdict::Idle)
                }
            };
            if end <= now {
                return verdict;
            }
            next = next.min(end);
        }
        Verdict::Check(next)
    }

    fn bytes_came(&self) {
        if self.under_way.load(Relaxed) == 0 {
            self.head_since.set_if_clear(self.began);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Weak<StreamSlot>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a time that began then. One beyond the clock's end never comes; a year is as good.
fn due(since: Instant, limit: Duration) -> Instant {
    let year = Duration::from_secs(365 * 86_400);
    since.checked_add(limit).unwrap_or(since + year)
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let watch = &self.0;
        watch.idle_since.set(watch.began);
        watch.under_way.fetch_sub(1, Relaxed);
    }
}

impl Moment {
    fn get(&self, began: Instant) -> Option<Instant> {
        let millis = self.0.load(Relaxed).checked_sub(1)?;
        began.checked_add(Duration::from_millis(millis))
    }

    fn set(&self, began: Instant) {
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(millis.saturating_add(1), Relaxed);
    }

    fn set_if_clear(&self, began: Instant) {
        // Only the connection's own task writes bytes, so nothing comes between the two.
        if self.0.load(Relaxed) == 0 {
            self.set(began);
        }
    }

    fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// The socket of a connection, watched.
#[derive(Debug)]
pub(super) struct WatchedIo<T> {
    pub(super) inner: T,
    pub(super) watch: Arc<Watch>,
    /// After the last answer, where the caller may still send.
    pub(super) linger: Option<Linger>,
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.watch.bytes_came();
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> WatchedIo<T> {
    fn written(&self, poll: &Poll<io::Result<usize>>) {
        let since = &self.watch.write_since;
        match poll {
            Poll::Pending => since.set_if_clear(self.watch.began),
            Poll::Ready(_) if since.0.load(Relaxed) == 0 => {}
            Poll::Ready(_) => since.clear(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.watch.is_unread.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_default();
        linger.poll(&mut this.inner, cx).map(Ok)
    }
}
