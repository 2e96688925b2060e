use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use tokio::time::{Sleep, sleep};
use tower::retry::Policy;
use tower_qwen_tokens::{
    Call, Verdict,
    internal::{RequestContext, clock::WallClock},
};

use crate::{
    BoxError, RetryPolicy,
    idempotency::{is_repeatable, is_retry},
    state::{CallState, Outcome, deadline_of, model_of},
};

/// A [`RetryPolicy`] for tower's own `Retry`, for stacks that have one.
///
/// Prefer [`RetryLayer`](crate::RetryLayer) if you can choose: tower's policy decides on an answer
/// without reading its body. It knows the cause of a throttle only if a layer inside has put the
/// [`Verdict`] into the answer's extensions, as Admission and Meter do; otherwise it decides by
/// status and headers. It has no first event of a stream and no fallback, and writes
/// nothing into the call's [`CallReport`](tower_qwen_tokens::CallReport).
///
/// Waits, retry budget, marker, deadline, rules for errors and observers are the same. Requests are
/// cloned by their own `Clone`, and only those that may be sent again (see
/// [`retry`](crate::retry#what-is-sent-again)).
///
/// ```
/// use tower::retry::RetryLayer;
/// use tower_qwen_retry::{RetryPolicy, TowerPolicy};
///
/// let layer = RetryLayer::new(TowerPolicy::new(RetryPolicy::default()));
/// # let _ = layer;
/// ```
///
/// # Errors
///
/// None of its own: the last attempt's, which must be a [`BoxError`] for this policy.
///
/// # Backpressure
///
/// That of tower's `Retry`: ready when the inner service is; a further attempt waits for the
/// readiness of a clone, after the sleep.
///
/// # Cancel safety
///
/// Dropping tower's future drops the attempt under way, or ends the wait. A retry that was begun
/// stays charged to the retry budget.
#[derive(Debug, Clone)]
#[must_use]
pub struct TowerPolicy {
    policy: Arc<RetryPolicy>,
    clock: WallClock,
    state: CallState,
}

impl TowerPolicy {
    /// This policy, for tower's `Retry`. Clones share its retry budget.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            clock: WallClock::new(),
            // Tower clones the policy for every call, so the random numbers come with the first
            // wait.
            state: CallState::new(None),
        }
    }

    /// The verdict on this answer; `None` for a success.
    fn verdict<B, RB>(&self, request: &Request<B>, answer: &Response<RB>) -> Option<Verdict> {
        let (status, headers) = (answer.status(), answer.headers());
        // A layer inside has read the body, so it knows more than status and headers say.
        if let Some(known) = answer.extensions().get::<Verdict>() {
            return Some(known.clone());
        }
        let failed = status.is_client_error() || status.is_server_error();
        failed.then(|| {
            let verdict = Verdict::of_response(status, headers, &[], self.clock.now());
            let context = RequestContext::of(request).by(self.policy.classify_options.clone());
            context.correct(verdict, headers)
        })
    }
}

impl<B, RB> Policy<Request<B>, Response<RB>, BoxError> for TowerPolicy
where
    B: Clone,
{
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<B>,
        result: &mut Result<Response<RB>, BoxError>,
    ) -> Option<Sleep> {
        if self.state.attempts == 0 {
            self.policy.budget.deposit();
        }
        // Tower does not say when it sent the attempt.
        self.state.attempt_sent(None);
        let (policy, model) = (&self.policy, model_of(Call::of(request)));
        let outcome = match result {
            Ok(answer) => {
                let verdict = self.verdict(request, answer);
                self.state.answered(policy, model, answer, verdict.as_ref())
            }
            Err(error) => self.state.failed(policy, model, error),
        };
        // Tower has no other target, so a permanent failure goes to the caller.
        let failure = match outcome {
            Outcome::Transient(failure) => failure,
            Outcome::NotSent { retry, .. } => retry?,
            Outcome::Final | Outcome::Permanent(_) => return None,
        };
        let deadline = deadline_of(request.extensions());
        let wait = self
            .state
            .next_wait(policy, model, deadline, failure)
            .ok()?;
        self.state.emit_retry(policy, model, failure, wait);
        if let Some(marker) = &self.policy.marker {
            let count = HeaderValue::from(self.state.attempts);
            request.headers_mut().insert(marker, count);
        }
        Some(sleep(wait))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        let marker = self.policy.marker.as_ref();
        // From the second attempt on the marker is our own.
        let is_first = self.state.attempts == 0;
        let is_nested = is_first && is_retry(request.headers(), marker);
        (is_repeatable(request) && !is_nested).then(|| request.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Mutex, time::Duration};

    use bytes::Bytes;
    use http_body_util::Full;
    use tower::{Layer, ServiceExt, retry::RetryLayer, service_fn};
    use tower_qwen_tokens::{Cause, internal::clock::now};

    use super::*;
    use crate::RetryBudget;

    type Body = Full<Bytes>;

    const CHAT: &str = "https://host/compatible-mode/v1/chat/completions";

    fn answer(status: u16, retry_after: Option<&str>) -> Result<Response<Body>, BoxError> {
        let mut answer = Response::builder().status(status);
        if let Some(wait) = retry_after {
            answer = answer.header("retry-after", wait);
        }
        Ok(answer.body(Body::default()).expect("an answer"))
    }

    /// What comes of a call that is answered so: the last status, the markers that were sent, and
    /// the time it took.
    async fn run(
        policy: RetryPolicy,
        request: Request<Body>,
        script: Vec<Result<Response<Body>, BoxError>>,
    ) -> (Option<u16>, Vec<Option<String>>, Duration) {
        let script = Mutex::new(script.into_iter());
        let sent = Mutex::new(Vec::new());
        let (script, sent) = (&script, &sent);
        let inner = service_fn(move |request: Request<Body>| {
            let marker = request.headers().get("x-stainless-retry-count");
            let marker = marker.map(|value| value.to_str().expect("text").to_owned());
            sent.lock().expect("unbroken").push(marker);
            let answer = script.lock().expect("unbroken").next();
            async { answer.expect("an attempt too many") }
        });
        let start = now();
        let service = RetryLayer::new(TowerPolicy::new(policy)).layer(inner);
        let answered = service.oneshot(request).await;
        assert_eq!(script.lock().expect("unbroken").len(), 0);
        let status = answered.ok().map(|answer| answer.status().as_u16());
        let sent = sent.lock().expect("unbroken").clone();
        (status, sent, now() - start)
    }

    fn request() -> Request<Body> {
        Request::post(CHAT)
            .body(Body::from("{}"))
            .expect("a request")
    }

    #[tokio::test(start_paused = true)]
    async fn towers_retry_behaves_like_ours() {
        let reset = Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
        let script = vec![answer(429, Some("1")), reset, answer(200, None)];
        let (status, sent, took) = run(RetryPolicy::default(), request(), script).await;
        assert_eq!(status, Some(200));
        assert_eq!(sent, [None, Some("1".to_owned()), Some("2".to_owned())]);
        assert!((1_050..=2_600).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_failures_and_unrepeatable_calls_return() {
        let unauthorized = || vec![answer(401, None)];
        let (status, ..) = run(RetryPolicy::default(), request(), unauthorized()).await;
        assert_eq!(status, Some(401));
        let (status, ..) = run(
            RetryPolicy::default(),
            request(),
            vec![Err("unknown".into())],
        )
        .await;
        assert_eq!(status, None);
        let mut batch = request();
        *batch.uri_mut() = "https://host/v1/batches".parse().expect("a uri");
        let mut nested = request();
        let count = HeaderValue::from(1);
        nested
            .headers_mut()
            .insert("x-stainless-retry-count", count);
        for request in [batch, nested] {
            let (status, ..) = run(RetryPolicy::default(), request, vec![answer(429, None)]).await;
            assert_eq!(status, Some(429));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn verdicts_from_inside_and_rules_count() {
        let mut classified = answer(400, None).expect("an answer");
        let verdict = Verdict::of_cause(Cause::Capacity);
        classified.extensions_mut().insert(verdict);
        let (status, ..) = run(
            RetryPolicy::default(),
            request(),
            vec![Ok(classified), answer(200, None)],
        )
        .await;
        assert_eq!(status, Some(200));
        let policy =
            RetryPolicy::default().rule(|verdict, _| Some(verdict.clone().with_transient(false)));
        let (status, ..) = run(policy, request(), vec![answer(503, None)]).await;
        assert_eq!(status, Some(503));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_deposit_retries_withdraw_success_refunds() {
        let budget = RetryBudget::new(0, 2);
        let policy = RetryPolicy::default().budget(budget.clone());
        let script = vec![answer(500, None), answer(200, None)];
        run(policy.clone(), request(), script).await;
        assert_eq!(budget.available(), 2);
        let script = vec![answer(500, None), answer(500, None)];
        let (status, ..) = run(policy, request(), script).await;
        assert_eq!((status, budget.available()), (Some(500), 0));
    }
}
