//! What a process learns of the provider's limits, and what it takes over from its fleet.

use std::time::UNIX_EPOCH;

use tower_qwen_tokens::{OnUsage, Report, Usage, Verdict};

use super::*;
use crate::adapt::{Belief, Since};

const WHOLE: u64 = 1 << 32;

fn member(quota: Quota, sharing: Sharing) -> Fleet {
    let fleet = Fleet::new(quota, sharing, OutagePolicy::LocalShare, Discipline::Fifo);
    fleet.grant(1, Fraction::WHOLE, u64::MAX);
    fleet
}

/// A call goes, and the provider refuses it for its requests.
async fn throttled(fleet: &mut Fleet) {
    let mut call = task::spawn(fleet.acquire(10));
    let call = match call.poll() {
        Poll::Ready(call) => call.unwrap(),
        Poll::Pending => {
            fleet.answer(BookingReply::In(Duration::ZERO));
            assert_ready_ok!(call.poll())
        }
    };
    call.mark_sent();
    let body = br#"{"error":{"code":"limit_requests","message":"You exceeded your current requests list."}}"#;
    let headers = http::HeaderMap::new();
    let status = http::StatusCode::TOO_MANY_REQUESTS;
    let mut report = Report::reported(Usage::default());
    report.verdict = Some(Verdict::of_response(status, &headers, body, UNIX_EPOCH));
    OnUsage::on_usage(&call, &report);
}

/// What it says of requests.
fn believes(fleet: &Fleet) -> Belief {
    fleet
        .account
        .heartbeat()
        .expect("it has had calls")
        .beliefs
        .requests
}

fn known(micros: u64, steps: u32, share: u64) -> Belief {
    Belief {
        since: Since::Store(micros),
        steps,
        share,
    }
}

/// The store answers a heartbeat that was sent so long ago.
fn answers(fleet: &Fleet, ago: Duration, requests: Belief, others: Used) {
    let reply = HeartbeatReply {
        beliefs: Beliefs {
            requests,
            ..Beliefs::NOTHING
        },
        others,
        ..heartbeat_reply(2, Fraction::WHOLE, u64::MAX)
    };
    let sent_at = clock::now() - ago;
    fleet
        .account
        .on_heartbeat(reply, sent_at, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn the_newest_limit_is_taken_over_be_it_higher_or_lower() {
    for sharing in SHARINGS {
        let mut fleet = member(quota(), sharing);
        answers(
            &fleet,
            TICK,
            Beliefs::NOTHING.requests,
            Used {
                requests: 300,
                tokens: 0,
            },
        );
        advance(Duration::from_secs(5)).await;
        throttled(&mut fleet).await;
        let own = believes(&fleet);
        // 300 of the others, of 600.
        assert!(own.share.abs_diff(WHOLE / 2) < WHOLE / 100, "{own:?}");
        assert_eq!(own.since, Since::Ago(0));
        // The store says when that was, and nothing else.
        advance(TICK).await;
        answers(&fleet, TICK, known(70, 0, own.share), Used::default());
        assert_eq!(believes(&fleet), known(70, 0, own.share));
        for newest in [known(71, 3, WHOLE * 3 / 4), known(90, 0, WHOLE / 8)] {
            answers(&fleet, TICK, newest, Used::default());
            assert_eq!(believes(&fleet), newest);
        }
        answers(&fleet, TICK, known(89, 0, WHOLE), Used::default());
        assert_eq!(believes(&fleet).share, WHOLE / 8, "older");
        let percent = fleet.account.snapshot(clock::now()).requests.rate_percent;
        assert_eq!(percent, 12);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_not_heard_of_is_not_forgotten() {
    let mut fleet = member(quota(), Sharing::Lease);
    advance(Duration::from_secs(1)).await;
    throttled(&mut fleet).await;
    let own = believes(&fleet);
    advance(TICK).await;
    answers(&fleet, 2 * TICK, known(70, 9, WHOLE), Used::default());
    assert_eq!(
        believes(&fleet).share,
        own.share,
        "asked before it was throttled"
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_met_during_an_outage_is_dated_when_the_store_is_back() {
    let mut fleet = member(quota(), Sharing::Lease);
    fleet.account.on_store_away();
    advance(Duration::from_secs(5)).await;
    throttled(&mut fleet).await;
    let own = believes(&fleet).share;
    advance(Duration::from_secs(20)).await;
    fleet.account.on_store_back();
    let after = believes(&fleet);
    assert_eq!(after.since, Since::Ago(20_000_000_000));
    assert_eq!(after.share, own, "held for a window");
    assert_eq!(after.since.micros(0), -20_000_000);
    assert_eq!(after.since.micros(1_000_000), -20_001_000);
    assert_eq!(Since::Ago(0).micros(0), -1);
}

/// Each is told at another time, and all believe the same as long as they live.
#[tokio::test(start_paused = true)]
async fn members_do_not_drift_apart() {
    let members: Vec<Fleet> = (0..3).map(|_| member(quota(), Sharing::Lease)).collect();
    let mut held = Vec::new();
    for fleet in &members {
        held.push(assert_ready_ok!(task::spawn(fleet.acquire(10)).poll()));
    }
    let mut newest = known(70, 0, WHOLE / 4);
    for second in 1..200 {
        // A heartbeat of one of them brings what has grown furthest.
        let fleet = &members[second % 3];
        answers(fleet, TICK, newest, Used::default());
        newest = believes(fleet);
        advance(Duration::from_millis(997)).await;
    }
    let steps: Vec<u32> = members.iter().map(|fleet| believes(fleet).steps).collect();
    let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
    assert!(most - least <= 3 && *most > 150, "{steps:?}");
    assert!(believes(&members[0]).share > WHOLE / 4);
}

#[tokio::test(start_paused = true)]
async fn what_lies_beyond_the_quota_is_taken_over_only_where_it_is_a_start() {
    for (quota, expected) in [(quota(), WHOLE), (Quota::at_least(600, 600_000), 3 * WHOLE)] {
        // A process that has just joined.
        let fleet = member(quota, Sharing::Lease);
        let _held = assert_ready_ok!(task::spawn(fleet.acquire(10)).poll());
        // Nobody has met a limit; the others have grown for some time.
        let further = believes(&fleet).steps + 100;
        answers(&fleet, TICK, known(0, further, 3 * WHOLE), Used::default());
        assert_eq!(believes(&fleet).share, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_quota_it_grows_where_the_store_says_that_all_is_used() {
    for is_used in [false, true] {
        let fleet = member(Quota::at_least(600, 600_000), Sharing::Booking);
        let mut waiting = task::spawn(fleet.acquire(10));
        assert_pending!(waiting.poll());
        let reply = HeartbeatReply {
            is_used: (is_used, false),
            ..heartbeat_reply(2, Fraction::ZERO, u64::MAX)
        };
        fleet
            .account
            .on_heartbeat(reply, clock::now(), Duration::from_secs(30));
        advance(Duration::from_secs(10)).await;
        let Beliefs { requests, tokens } = fleet.account.heartbeat().unwrap().beliefs;
        assert_eq!(requests.share > WHOLE, is_used);
        assert_eq!(tokens.share, WHOLE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_fleet_leaves_no_burst() {
    let fleet = member(quota(), Sharing::Lease);
    let reply = HeartbeatReply {
        closed_for: Duration::from_secs(3),
        ..heartbeat_reply(2, Fraction::one_of(2), u64::MAX)
    };
    fleet.reply(reply);
    let before = fleet.account.snapshot(clock::now()).requests.level;
    advance(Duration::from_secs(3)).await;
    let after = fleet.account.snapshot(clock::now()).requests.level;
    assert_eq!(
        before, after,
        "what flows in while it is closed goes to nobody"
    );
    let mut call = task::spawn(fleet.acquire(10));
    assert_pending!(call.poll());
}
