//! The figures of the page, each second, as server-sent events.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::{Body as HttpBody, Frame};
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{admin::AdminProblem, api_key::KeyHash, gateway::Gateway};

/// How often the figures come.
const EVERY: Duration = Duration::from_secs(1);
/// How many pages are open at one time: each costs a look at all accounts a second.
const MAX_VIEWERS: usize = 16;

/// How many pages are open. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Viewers(Arc<AtomicUsize>);

/// One open page.
struct Viewer(Arc<AtomicUsize>);

impl Viewers {
    fn enter(&self) -> Option<Viewer> {
        let viewer = Viewer(self.0.clone());
        // What is above the most is taken back when it is dropped.
        (self.0.fetch_add(1, Relaxed) < MAX_VIEWERS).then_some(viewer)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The handler.
pub(super) async fn events(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    if let Err(no_admin) = gateway.check_admin(&mut request).await {
        return AdminProblem::from(no_admin).into_response();
    }
    let Some(viewer) = gateway.viewers.enter() else {
        let later = [(RETRY_AFTER, "10")];
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            later,
            "too many pages are open",
        )
            .into_response();
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_session = gateway.has_session(request.headers());
    let events = Events {
        session: has_session.then(|| request.headers().clone()),
        admin: gateway.live().callers.admin(),
        is_first: true,
        gateway,
        ticks,
        _viewer: viewer,
    };
    let kind = [(CONTENT_TYPE, "text/event-stream")];
    (kind, Body::new(events)).into_response()
}

/// The stream, which ends with what let it begin.
struct Events {
    gateway: Arc<Gateway>,
    ticks: Interval,
    /// The headers with the session, where that is what let it in.
    session: Option<HeaderMap>,
    /// The key of then, which let it in: with another one it ends.
    admin: Option<KeyHash>,
    is_first: bool,
    _viewer: Viewer,
}

impl Events {
    fn may_go_on(&self) -> bool {
        if self.gateway.readiness().is_draining() {
            return false;
        }
        let session = self.session.as_ref();
        session.is_none_or(|headers| self.gateway.has_session(headers))
            && self.gateway.live().callers.admin() == self.admin
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        ready!(self.ticks.poll_tick(cx));
        if !self.may_go_on() {
            return Poll::Ready(None);
        }
        let mut text = String::new();
        if std::mem::take(&mut self.is_first) {
            write(&mut text, "history", &self.gateway.history.points())?;
        }
        write(&mut text, "figures", &self.gateway.figures())?;
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

fn write(text: &mut String, name: &str, data: &impl Serialize) -> Result<(), serde_json::Error> {
    // JSON of one line is data of one line.
    let data = serde_json::to_string(data)?;
    for part in ["event: ", name, "\ndata: ", &data, "\n\n"] {
        text.push_str(part);
    }
    Ok(())
}
