//! What the answers of calls under way do to an account.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tower_qwen_tokens::{Cause, Verdict, internal::clock};

use super::account;
use crate::{
    account::{Account, AdmitRequest},
    acquire::Acquire,
    cost::{Cost, OutputLimit},
    quota::{Pacing, Quota},
    reservation::Reservation,
};

fn sent(account: &Arc<Account>) -> Reservation {
    let request = AdmitRequest::new(Cost::request());
    let charge = account.try_acquire(&request, clock::now()).unwrap();
    let reservation = Reservation::new(account.clone(), charge, None);
    reservation.mark_sent();
    reservation
}

/// Sends a call of a thousand tokens as soon as it may go.
async fn sent_soon(account: &Arc<Account>) -> Reservation {
    let request = AdmitRequest::new(Cost::new(1_000, OutputLimit::NoOutput));
    loop {
        if let Ok(charge) = account.try_acquire(&request, clock::now()) {
            let reservation = Reservation::new(account.clone(), charge, None);
            reservation.mark_sent();
            return reservation;
        }
        tokio::time::advance(Duration::from_millis(100)).await;
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Under either pacing: where a window goes at once, a call counts from its answer on, but what that
/// says of the provider dates from the send.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_call_sent_before_a_throttle_does_not_end_it() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        let account = account(Quota::per_minute(6_000, 1_000_000).pacing(pacing));
        let (throttled, old) = (sent(&account), sent(&account));
        throttled.throttle(&Verdict::of_cause(Cause::Concurrency));
        pass(2).await;
        old.accepted();
        let probe = sent(&account);
        assert!(
            !account.snapshot(clock::now()).closed_for.is_zero(),
            "one probes"
        );
        pass(2).await;
        probe.accepted();
        drop(sent(&account));
        assert!(account.snapshot(clock::now()).closed_for.is_zero());
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_drains_lowers_each_dimension_that_its_throttles_named() {
    let account = account(Quota::per_minute(100, 100_000));
    for _ in 0..70 {
        pass(1).await;
        sent_soon(&account).await.accepted();
    }
    pass(1).await;
    sent_soon(&account)
        .await
        .throttle(&Verdict::of_cause(Cause::TokenRate));
    for cause in [Cause::RequestRate, Cause::TokenRate] {
        pass(5).await;
        sent_soon(&account)
            .await
            .throttle(&Verdict::of_cause(cause));
    }
    pass(5).await;
    assert_eq!(account.snapshot(clock::now()).requests.believed, 100);
    sent_soon(&account).await.accepted();
    let snapshot = account.snapshot(clock::now());
    let believed = (snapshot.requests.believed, snapshot.tokens.believed);
    assert!((45..60).contains(&believed.0), "{believed:?}");
    assert!((45_000..60_000).contains(&believed.1), "{believed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_call_sent_before_a_plan_was_used_up_does_not_renew_it() {
    let account = account(Quota::per_minute(6_000, 1_000_000).pacing(Pacing::Window));
    let (last, old) = (sent(&account), sent(&account));
    let wall = clock::WallClock::new().now();
    let body = br#"{"error":{"type":"usage_limit_reached","resets_in_seconds":18000}}"#;
    let status = http::StatusCode::TOO_MANY_REQUESTS;
    last.fail(&Verdict::of_response(
        status,
        &http::HeaderMap::new(),
        body,
        wall,
    ));
    pass(2).await;
    old.accepted();
    let snapshot = account.snapshot(clock::now());
    assert!(snapshot.plan_used_up.is_some() && !snapshot.closed_for.is_zero());
}

/// Of 40 requests that an earlier window saw throttled, none is missing in what this one held.
#[tokio::test(start_paused = true)]
async fn throttled_calls_of_an_earlier_window_do_not_lower_what_was_measured() {
    const QUOTA: u64 = 1_300;
    let quota = Quota::per_minute(QUOTA, 1_000_000).headroom(0);
    let account = account(quota.burst(Duration::from_secs(3)));
    let throttled = Verdict::of_cause(Cause::RequestRate);
    let calls: Vec<_> = (0..40).map(|_| sent(&account)).collect();
    for reservation in calls {
        reservation.throttle(&throttled);
    }
    pass(3_600).await;
    // A probe, which closes the account for a moment.
    sent(&account).accepted();
    pass(3).await;
    let mut accepted = 1;
    while accepted < 1_000 {
        pass(1).await;
        for _ in 0..20.min(1_000 - accepted) {
            sent(&account).accepted();
            accepted += 1;
        }
    }
    pass(1).await;
    let believed = || account.snapshot(clock::now()).requests.believed;
    assert_eq!(believed(), QUOTA);
    sent(&account).throttle(&throttled);
    assert!((990..=1_010).contains(&believed()), "{}", believed());
}

/// Reads a reservation when it is woken, as an executor may that polls in place.
#[derive(Default)]
struct Reader {
    of: OnceLock<Arc<Reservation>>,
    woken: AtomicU64,
}

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        let reservation = self.of.get().unwrap();
        assert_eq!(reservation.input_tokens(), 0);
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_woken_by_an_answer_may_read_its_reservation() {
    let account = account(Quota::per_minute(6_000, 1_000_000));
    sent(&account).throttle(&Verdict::of_cause(Cause::Concurrency));
    pass(2).await;
    let probe = Arc::new(sent(&account));
    let reader = Arc::new(Reader::default());
    reader.of.set(probe.clone()).unwrap();
    let waker = Waker::from(reader.clone());
    let mut waiting = std::pin::pin!(Acquire::new(account.clone(), Cost::request()));
    let poll = waiting.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(matches!(poll, Poll::Pending), "the probe is under way");
    probe.accepted();
    assert_eq!(reader.woken.load(Ordering::Relaxed), 1);
}
