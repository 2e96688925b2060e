//! How long a caller waits, and when it may come back.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, ready},
    time::{Duration, SystemTime},
};

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use tokio::time::{Instant, Sleep, sleep};
use tower_qwen_ratelimit::{
    budget::BudgetError,
    enforce::{Rejection, RejectionKind},
};
use tower_qwen_tokens::{PacedUntil, Verdict, internal::clock::WallClock};

/// When one call is let through although the plan is used up, and nobody knows until when: the default of
/// `LimiterBuilder::plan_probe_interval`.
pub const PLAN_PROBE: Duration = Duration::from_secs(30 * 60);

/// An upstream that asks for more than this may be wrong, so its account's own state counts: that believes a second such
/// answer in a row.
const LONGEST_BELIEVED: Duration = Duration::from_secs(60 * 60);

/// A wait that is nearly over is not looked at more often.
const SHORTEST: Duration = Duration::from_millis(50);

/// What client libraries read before `Retry-After`. An upstream that says it means its own account.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// The caller's quota, as Enforce states it.
const QUOTA: [HeaderName; 8] = [
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Runs a call for as long as it does not wait longer than this, all waits together; `None` where it would, and then nothing
/// of it is under way.
///
/// Between attempts it waits. What an attempt itself takes has its own limit. `waited` is all that it has waited so far.
pub async fn within<T>(
    call: impl Future<Output = T>,
    longest: Duration,
    is_sent: impl Fn() -> bool,
    waited: impl Fn() -> Duration,
) -> Option<T> {
    let mut call = pin!(call);
    let mut timer = pin!(None::<Sleep>);
    let mut before = Duration::ZERO;
    poll_fn(|cx| {
        if let Poll::Ready(output) = call.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        // Most calls never wait, so they have no timer.
        if is_sent() {
            timer.set(None);
            return Poll::Pending;
        }
        loop {
            let so_far = waited();
            if let Some(timer) = timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
                // What the reading of an answer's beginning takes is no wait.
                if so_far >= longest && so_far > before {
                    return Poll::Ready(None);
                }
            }
            before = so_far;
            let left = longest.saturating_sub(so_far);
            timer.set(Some(sleep(left.max(SHORTEST))));
        }
    })
    .await
}

/// Whether a status says that the same call may succeed later.
#[must_use]
pub fn is_later(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// How long an upstream that cannot take a call now should be left alone: what it asked for itself, or until its account opens
/// again, or as long as the call would wait there.
#[must_use]
pub fn of_upstream(answer: &Response, predicted: Option<Duration>) -> Duration {
    let extensions = answer.extensions();
    let closed = extensions.get::<PacedUntil>().map(|paced| {
        let now = Instant::now();
        paced.until.saturating_duration_since(now)
    });
    let verdict = extensions.get::<Verdict>();
    let asked = verdict.and_then(|verdict| {
        let until = || verdict.until().and_then(from_now);
        verdict.retry_after().or_else(until)
    });
    let is_plan = verdict.is_some_and(|verdict| verdict.plan_window().is_some());
    // The end of a plan's window is the only one that counts.
    let plan = is_plan.then(|| asked.unwrap_or(PLAN_PROBE));
    let asked = asked.filter(|&wait| wait <= LONGEST_BELIEVED);
    plan.or(closed.max(asked).max(predicted))
        .unwrap_or_default()
}

/// How long it is until then; `None` where that is over.
#[must_use]
pub fn from_now(until: SystemTime) -> Option<Duration> {
    until.duration_since(WallClock::new().now()).ok()
}

/// Says when to come back.
pub fn come_back(answer: &mut Response, wait: Duration) {
    let headers = answer.headers_mut();
    headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    headers.remove(RETRY_AFTER_MS);
}

/// Makes the headers of an answer agree with its status: one that says "later" says when, and does not state at the same time
/// a quota that is not the reason.
pub fn agree<B>(answer: &mut Response<B>) {
    if !is_later(answer.status()) {
        return;
    }
    let is_quota = answer
        .extensions()
        .get()
        .is_some_and(|rejection: &Rejection| {
            use RejectionKind::{Requests, Tokens};
            matches!(rejection.kind(), Requests | Tokens)
        });
    // A budget says its end itself, where it has one.
    let is_budget = matches!(answer.extensions().get(), Some(BudgetError::Exceeded(_)));
    let headers = answer.headers_mut();
    if !is_quota {
        for name in QUOTA {
            headers.remove(name);
        }
    }
    if !headers.contains_key(RETRY_AFTER) && !is_budget {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// Seconds, rounded up and never 0, which clients take for "at once".
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn seconds_are_rounded_up_and_never_none() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_count_together_and_attempts_do_not() {
        let (is_sent, waited) = (Cell::new(false), Cell::new(Duration::ZERO));
        let wait = async |seconds: u64| {
            for _ in 0..seconds * 1_000 {
                sleep(SECOND / 1_000).await;
                waited.set(waited.get() + SECOND / 1_000);
            }
        };
        let began = Instant::now();
        let call = async {
            wait(2).await;
            is_sent.set(true);
            sleep(SECOND * 100).await;
            is_sent.set(false);
            // An answer begins.
            sleep(SECOND * 5).await;
            wait(9).await;
        };
        let longest = SECOND * 3;
        let output = within(call, longest, || is_sent.get(), || waited.get()).await;
        assert_eq!(output, None);
        let took = began.elapsed();
        let exact = SECOND * 108;
        assert!((exact..exact + SHORTEST * 2).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_begins_is_not_cut_although_nothing_may_be_waited_any_more() {
        let (is_sent, waited) = (Cell::new(false), Cell::new(Duration::ZERO));
        let call = async {
            sleep(SECOND - Duration::from_millis(1)).await;
            waited.set(SECOND);
            is_sent.set(true);
            sleep(SECOND).await;
            is_sent.set(false);
            sleep(SECOND * 5).await;
        };
        let output = within(call, SECOND, || is_sent.get(), || waited.get()).await;
        assert_eq!(output, Some(()));
    }
}
