//! Which calls are on the wire, and which only wait.
//!
//! Stands between Admission and Meter: what passes here has been admitted and goes out. When a run is stopped, calls
//! on the wire are finished and all others are not sent.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_qwen_tokens::UsageSink;

use crate::tally::Tally;

/// Marks calls as being on the wire, and counts attempts.
#[derive(Debug, Clone)]
#[must_use]
pub struct FlightLayer {
    tally: Tally,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct FlightService<S> {
    inner: S,
    tally: Tally,
}

/// The state of one call. Goes into its request's extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Flight {
    on_wire: Arc<AtomicUsize>,
}

/// Stands in the answer's extensions for as long as the answer is held.
#[derive(Clone)]
struct Landing(#[allow(dead_code)] Arc<OnWire>);

struct OnWire(Flight);

pin_project! {
    /// The future of [`FlightService`].
    pub struct FlightFuture<F> {
        #[pin]
        inner: F,
        on_wire: Option<OnWire>,
    }
}

impl FlightLayer {
    /// Counts attempts here.
    pub fn new(tally: Tally) -> Self {
        Self { tally }
    }
}

impl Flight {
    /// Whether an attempt is on the wire: from its send until its answer is dropped.
    #[must_use]
    pub fn is_on_wire(&self) -> bool {
        self.on_wire.load(Ordering::Relaxed) > 0
    }

    /// What the call comes to; `None` where this comes first, while no attempt of the call is on the wire.
    pub async fn unless<F: Future>(&self, comes: impl Future, call: F) -> Option<F::Output> {
        let mut call = pin!(call);
        let mut comes = pin!(comes);
        let mut has_come = false;
        std::future::poll_fn(|cx| {
            has_come = has_come || comes.as_mut().poll(cx).is_ready();
            if has_come && !self.is_on_wire() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            // The attempt may have failed just now: its retry is not waited for.
            if has_come && !self.is_on_wire() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    fn take_off(&self) -> OnWire {
        self.on_wire.fetch_add(1, Ordering::Relaxed);
        OnWire(self.clone())
    }
}

impl Drop for OnWire {
    fn drop(&mut self) {
        self.0.on_wire.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S> Layer<S> for FlightLayer {
    type Service = FlightService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FlightService {
            inner,
            tally: self.tally.clone(),
        }
    }
}

impl<S, B, RB> Service<Request<B>> for FlightService<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FlightFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.tally.sent();
        let on_wire = request.extensions().get().map(Flight::take_off);
        let sink = request.extensions_mut().remove::<UsageSink>();
        request.extensions_mut().insert(self.tally.tap(sink));
        FlightFuture {
            inner: self.inner.call(request),
            on_wire,
        }
    }
}

impl<F, RB, E> Future for FlightFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let on_wire = this.on_wire.take();
        Poll::Ready(result.map(|mut response| {
            if let Some(on_wire) = on_wire {
                response.extensions_mut().insert(Landing(Arc::new(on_wire)));
            }
            response
        }))
    }
}

impl<F> std::fmt::Debug for FlightFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlightFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    fn request(flight: &Flight) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(flight.clone());
        request
    }

    #[tokio::test]
    async fn on_the_wire_from_the_send_until_the_answer_is_dropped() -> Result<(), Infallible> {
        let tally = Tally::default();
        let flight = Flight::default();
        let seen = flight.clone();
        let service =
            FlightLayer::new(tally.clone()).layer(service_fn(move |request: Request<()>| {
                assert!(seen.is_on_wire());
                assert!(request.extensions().get::<UsageSink>().is_some());
                async { Ok::<_, Infallible>(Response::new(())) }
            }));
        assert!(!flight.is_on_wire());
        let response = service.clone().oneshot(request(&flight)).await?;
        assert!(flight.is_on_wire());
        let (parts, ()) = response.into_parts();
        assert!(flight.is_on_wire());
        drop(parts);
        assert!(!flight.is_on_wire());
        service.oneshot(request(&flight)).await?;
        assert_eq!(tally.attempts().sent, 2);
        Ok(())
    }

    #[tokio::test]
    async fn a_failed_or_dropped_attempt_is_off_the_wire() {
        let flight = Flight::default();
        let failing = service_fn(|_: Request<()>| async { Err::<Response<()>, _>("down") });
        let layer = FlightLayer::new(Tally::default());
        assert!(
            layer
                .layer(failing)
                .oneshot(request(&flight))
                .await
                .is_err()
        );
        assert!(!flight.is_on_wire());
        let hanging =
            service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, Infallible>>());
        let attempt = layer.layer(hanging).call(request(&flight));
        assert!(flight.is_on_wire());
        drop(attempt);
        assert!(!flight.is_on_wire());
    }
}
