//! The store goes away and comes back.

use std::time::UNIX_EPOCH;

use tower_qwen_tokens::{OnUsage, Report, Usage, Verdict};

use super::*;
use crate::snapshot::FleetSnapshot;

fn fleet_of_four(sharing: Sharing, outage: OutagePolicy) -> Fleet {
    let fleet = Fleet::new(quota(), sharing, outage, Discipline::Fifo);
    fleet.grant(4, Fraction::one_of(4), u64::MAX);
    fleet
}

fn seen(fleet: &Fleet) -> FleetSnapshot {
    fleet.account.snapshot(clock::now()).fleet.unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_was_idle_during_an_outage_has_the_whole_again() {
    let fleet = fleet_of_four(Sharing::Booking, OutagePolicy::LocalShare);
    fleet.account.on_store_away();
    assert_eq!(seen(&fleet).part_percent, 25);
    fleet.account.on_store_back();
    assert_eq!(seen(&fleet).part_percent, 100);
    assert!(!seen(&fleet).is_store_away);
}

#[tokio::test(start_paused = true)]
async fn who_runs_on_an_nth_part_says_so_until_it_is_granted_another() {
    let fleet = fleet_of_four(Sharing::Lease, OutagePolicy::LocalShare);
    let mut call = task::spawn(fleet.acquire(10));
    advance(Duration::from_secs(1)).await;
    let _going = assert_ready_ok!(call.poll());
    fleet.account.on_store_away();
    assert_eq!(fleet.account.heartbeat().unwrap().held, Fraction::one_of(4));
    // Nobody goes from here on until the store has answered.
    fleet.account.on_store_back();
    assert_eq!(fleet.account.heartbeat().unwrap().held, Fraction::ZERO);
    assert_pending!(task::spawn(fleet.acquire(10)).poll());
}

#[tokio::test(start_paused = true)]
async fn the_bound_is_that_of_the_way_in_which_calls_go() {
    for sharing in SHARINGS {
        let bound = |outage| {
            let fleet = fleet_of_four(sharing, outage);
            let before = seen(&fleet).may_overshoot_tokens;
            fleet.account.on_store_away();
            let during = seen(&fleet).may_overshoot_tokens;
            (before, during)
        };
        // 0.98 flows in, and a thirtieth of that is saved.
        let rate = quota().rate_of(quota().tokens());
        let burst = (rate + rate / 30).saturating_sub(quota().tokens());
        assert!(burst <= quota().tokens() / 50);
        let shared = match sharing {
            Sharing::Booking => 0,
            Sharing::Lease => burst,
        };
        assert_eq!(bound(OutagePolicy::LocalShare), (shared, burst));
        assert_eq!(bound(OutagePolicy::Unlimited), (shared, u64::MAX));
        assert_eq!(bound(OutagePolicy::Reject), (shared, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_day_are_divided_too() {
    let quota = quota().tokens_per_day(4_000);
    let fleet = Fleet::new(
        quota,
        Sharing::Booking,
        OutagePolicy::LocalShare,
        Discipline::Fifo,
    );
    fleet.grant(4, Fraction::ZERO, u64::MAX);
    fleet.account.on_store_away();
    advance(Duration::from_secs(10)).await;
    let went = assert_ready_ok!(task::spawn(fleet.acquire(900)).poll());
    went.mark_sent();
    advance(Duration::from_secs(60)).await;
    let soon = || fleet.acquire(101).max_wait(Duration::from_secs(60));
    let rejected = assert_ready_err!(task::spawn(soon()).poll());
    assert!(rejected.predicted_wait().is_some(), "it may go tomorrow");
    // More than a part of the day is not too large for a day.
    assert_pending!(task::spawn(fleet.acquire(2_000)).poll());
    fleet.account.on_store_back();
    assert_pending!(task::spawn(soon()).poll());
}

#[tokio::test(start_paused = true)]
async fn the_bound_takes_the_largest_call_of_any_process() {
    let fleet = fleet_of_four(Sharing::Lease, OutagePolicy::LocalShare);
    let before = seen(&fleet).may_overshoot_tokens;
    for (reported, counts) in [(70_000, 70_000), (500, 70_000)] {
        let largest = HeartbeatReply {
            largest_call: reported,
            ..heartbeat_reply(4, Fraction::one_of(4), u64::MAX)
        };
        fleet.reply(largest);
        let after = seen(&fleet).may_overshoot_tokens;
        assert_eq!(after, before + 4 * counts);
    }
}

#[tokio::test(start_paused = true)]
async fn throttles_of_calls_that_went_as_they_came_slow_no_rate() {
    let body = br#"{"error":{"code":"limit_requests","message":"You exceeded your current requests list."}}"#;
    let headers = http::HeaderMap::new();
    let status = http::StatusCode::TOO_MANY_REQUESTS;
    let mut report = Report::reported(Usage::default());
    report.verdict = Some(Verdict::of_response(status, &headers, body, UNIX_EPOCH));
    for outage in [OutagePolicy::LocalShare, OutagePolicy::Unlimited] {
        let fleet = fleet_of_four(Sharing::Booking, outage);
        fleet.account.on_store_away();
        // Of all four together it is two fifths of the quota: too much for an outage of the provider.
        for _ in 0..60 {
            advance(Duration::from_millis(500)).await;
            let call = assert_ready_ok!(task::spawn(fleet.acquire(10)).poll());
            call.mark_sent();
            OnUsage::on_usage(&call, &Report::reported(Usage::default()));
        }
        advance(Duration::from_secs(1)).await;
        let call = assert_ready_ok!(task::spawn(fleet.acquire(10)).poll());
        call.mark_sent();
        OnUsage::on_usage(&call, &report);
        let seen = fleet.account.snapshot(clock::now());
        assert!(
            !seen.closed_for.is_zero(),
            "{outage:?}: it is heartbeat_reply"
        );
        let is_slowed = seen.requests.rate_percent < 100;
        assert_eq!(is_slowed, outage == OutagePolicy::LocalShare);
    }
}

/// A driver that is not run answers nobody, however soon each leaves.
#[tokio::test(start_paused = true)]
async fn a_silent_store_is_found_out_by_the_impatient_too() {
    let fleet = Fleet::new(
        quota(),
        Sharing::Booking,
        OutagePolicy::LocalShare,
        Discipline::Fifo,
    );
    advance(Duration::from_secs(60)).await;
    let mut rejected = 0;
    loop {
        let mut call = task::spawn(fleet.acquire(10).max_wait(100 * TICK));
        assert_pending!(call.poll());
        advance(101 * TICK).await;
        if let Poll::Ready(Ok(_)) = call.poll() {
            break;
        }
        rejected += 1;
        assert!(rejected < 1_000, "the timeout is 10 s");
    }
    assert!(seen(&fleet).is_store_away);
    assert!(rejected > 100, "{rejected}: patience was too short");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_late_is_not_away() {
    let mut fleet = Fleet::new(
        quota(),
        Sharing::Booking,
        OutagePolicy::LocalShare,
        Discipline::Fifo,
    );
    for _ in 0..100 {
        let mut call = task::spawn(fleet.acquire(10));
        assert_pending!(call.poll());
        advance(Duration::from_secs(15)).await;
        fleet.answer(BookingReply::TooLate(Duration::from_secs(1)));
        drop(call);
        let mut left = task::spawn(fleet.acquire(10));
        assert_pending!(left.poll());
        advance(Duration::from_secs(4)).await;
        drop(left);
        assert!(!seen(&fleet).is_store_away);
    }
}
