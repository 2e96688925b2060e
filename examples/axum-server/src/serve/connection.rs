//! One connection, from its first byte to its last.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch::Receiver,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower_qwen_tokens::internal::{MovingTimer, Registered};
use tracing::debug;

use super::{
    Answers,
    service::ConnectionService,
    strangers::Strangers,
    watch::{Verdict, Watch, WatchedIo},
};
use crate::{limits::Limits, readiness::Readiness, tries::Peer};

/// The longest head of a request, and what is held of an answer for a reader that is slower than the upstream.
// Four times what browsers and client libraries send, and 2,000 readers that take nothing stay below 150 MB.
const MAX_BUFFER: usize = 24 << 10;
/// How many calls run on one connection of HTTP/2.
// The least that RFC 9113 recommends (section 6.5.2): of each stream a reader that takes nothing holds some memory.
const MAX_STREAMS: u32 = 100;
/// How long a connection that nobody uses has for its farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all connections share.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) answers: Answers,
    pub(super) limits: Limits,
    pub(super) readiness: Readiness,
    pub(super) strangers: Strangers,
    /// Changes when no further requests are to be answered.
    pub(super) ending: Receiver<bool>,
}

/// What speaks HTTP/1.1, and HTTP/2 to those who begin with its preface.
pub(super) fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The watch knows when a head begins. hyper's timer runs while a connection is idle, too.
        .header_read_timeout(None)
        .timer(TokioTimer::new())
        .max_buf_size(MAX_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_BUFFER)
        .max_header_list_size(MAX_BUFFER as u32);
    builder
}

impl Connections {
    /// Answers on this connection until it ends.
    pub(super) async fn run<T>(self, io: T, peer: Option<Peer>, tls: Option<TlsAcceptor>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let watch = Watch::new(&self.limits);
        let io = WatchedIo {
            inner: io,
            watch: Arc::clone(&watch),
            linger: None,
        };
        match tls {
            None => self.answer(io, peer, watch).await,
            Some(acceptor) => match timeout(self.limits.head_timeout, acceptor.accept(io)).await {
                Ok(Ok(io)) => self.answer(io, peer, watch).await,
                Ok(Err(error)) => debug!(%error, "no TLS came about"),
                Err(_) => debug!("no TLS came about in time"),
            },
        }
    }

    async fn answer<T>(mut self, io: T, peer: Option<Peer>, watch: Arc<Watch>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = ConnectionService {
            answers: self.answers,
            watch: Arc::clone(&watch),
            readiness: self.readiness,
            strangers: self.strangers,
            peer,
        };
        let connection = self.builder.serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let mut timer = pin!(MovingTimer::default());
        let mut check = watch.first_check();
        let (is_changed, mut woken) = (self.ending.clone(), Registered::default());
        let mut ended = pin!(ended(&mut self.ending));
        // Once it was asked to end, nothing asks it again.
        let mut is_ending = false;
        let mut farewell = None;
        loop {
            // Polled for each event of each answer: what comes once in a connection's life is polled only when it is there.
            let event = poll_fn(|cx| {
                if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Event::Served(served));
                }
                let is_same = woken.is_of(cx) && matches!(is_changed.has_changed(), Ok(false));
                if !is_ending && !is_same {
                    let poll = ended.as_mut().poll(cx);
                    woken.note(cx, &poll);
                    if poll.is_ready() {
                        return Poll::Ready(Event::Ending);
                    }
                }
                timer.as_mut().poll(cx, check).map(|()| Event::Check)
            });
            match event.await {
                Event::Served(served) => {
                    if let Err(error) = served {
                        debug!(%error, "a connection broke off");
                    }
                    return;
                }
                Event::Ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                Event::Check => {
                    let now = Instant::now();
                    if farewell.is_some_and(|end| end <= now) {
                        return;
                    }
                    match watch.check(now) {
                        Verdict::Check(next) => check = next,
                        Verdict::Cut(why) => {
                            debug!(why, "a connection is cut");
                            return;
                        }
                        Verdict::Idle => {
                            connection.as_mut().graceful_shutdown();
                            check = *farewell.get_or_insert(now + FAREWELL);
                        }
                    }
                }
            }
        }
    }
}

/// What happens to a connection.
enum Event<T> {
    /// It has ended.
    Served(T),
    /// No further requests are to be answered.
    Ending,
    /// It is time to see who is slow.
    Check,
}

/// No further requests are to be answered. Without a sender the server is gone, which says the same.
async fn ended(ending: &mut Receiver<bool>) {
    let _ = ending.wait_for(|is_ending| *is_ending).await;
}
