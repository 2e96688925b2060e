use std::time::Duration;

use super::Gate;
use crate::{
    adapt::{Held, ThrottledCall},
    quota::{Pacing, Quota},
    units::Nanos,
};

const SECOND: Nanos = 1_000_000_000;
const MINUTE: Nanos = 60 * SECOND;

fn gate(quota: Quota) -> Gate {
    Gate::new(&quota, quota.requests(), 0)
}

/// Takes single requests as soon as they may go, from `now` until `end`. Returns how many.
fn drain(gate: &mut Gate, now: Nanos, end: Nanos) -> u64 {
    let (mut now, mut calls) = (now, 0);
    loop {
        gate.advance(now, true);
        let at = gate.ready_at(now, 1);
        if at >= end {
            return calls;
        }
        gate.advance(at, true);
        gate.take(1);
        (now, calls) = (at, calls + 1);
    }
}

#[test]
fn what_flows_in_while_it_is_closed_goes_to_nobody() {
    let quota = Quota::per_minute(6_000, 1).headroom(0);
    for pause in [1, 10, 300] {
        let mut gate = gate(quota);
        // All that was saved is spent.
        drain(&mut gate, 0, 20 * SECOND);
        gate.advance(20 * SECOND, true);
        let opens = (20 + pause) * SECOND;
        gate.close_until(opens);
        let first = drain(&mut gate, opens, opens + SECOND);
        assert!((95..=100).contains(&first), "after {pause} s: {first}");
    }
}

#[test]
fn what_was_saved_before_it_was_closed_does_not_go_in_a_clump() {
    let quota = Quota::per_minute(6_000, 1).headroom(0);
    let mut gate = gate(quota);
    gate.advance(MINUTE, false);
    assert_eq!(gate.snapshot().level, Some(2_000), "a third of the window");
    assert_eq!(gate.ready_at(MINUTE, 50), MINUTE);
    gate.close_until(MINUTE + 30 * SECOND);
    let opens = MINUTE + 30 * SECOND;
    assert!(gate.ready_at(MINUTE, 1) > opens);
    // Without the pause it would be 50 more: a burst.
    let first = drain(&mut gate, opens, opens + SECOND);
    assert!(
        (148..=150).contains(&first),
        "one and a half times the rate: {first}"
    );
}

#[test]
fn closed_again_and_again_it_opens_with_the_last() {
    let mut gate = gate(Quota::per_minute(6_000, 1));
    gate.close_until(10 * SECOND);
    gate.close_until(5 * SECOND);
    assert!(gate.ready_at(0, 1) > 10 * SECOND);
    assert!(gate.ready_at(0, 1) < 10 * SECOND + SECOND / 10);
}

#[test]
fn a_window_that_goes_at_once_is_spread_once_it_has_to_be() {
    let quota = Quota::per_minute(600, 1).headroom(0).pacing(Pacing::Window);
    let mut gate = gate(quota);
    assert_eq!(drain(&mut gate, 0, 1), 600);
    gate.advance(2 * MINUTE, true);
    assert!(gate.pace_evenly(2 * MINUTE));
    assert!(!gate.pace_evenly(2 * MINUTE), "it is by now");
    let second = drain(&mut gate, 2 * MINUTE, 2 * MINUTE + SECOND);
    assert!((9..=10).contains(&second), "{second}");
}

#[test]
fn a_start_grows_while_it_is_used_and_a_limit_does_not() {
    let start = Quota::at_least(60, 1);
    for (quota, grows) in [
        (start, true),
        (start.pacing(Pacing::Window), true),
        (Quota::per_minute(60, 1), false),
    ] {
        let mut gate = gate(quota);
        let calls = drain(&mut gate, 0, 6 * MINUTE);
        assert_eq!(calls > 6 * 60, grows, "{calls}");
        assert_eq!(gate.believed() > 60, grows, "{}", gate.believed());
        // It is idle: nothing more is looked for.
        let believed = gate.believed();
        gate.advance(20 * MINUTE, false);
        assert_eq!(gate.believed(), believed);
    }
}

#[test]
fn a_limit_that_was_measured_holds_rate_burst_and_window() {
    let quota = Quota::per_minute(6_000, 1).burst(Duration::from_secs(6));
    let mut gate = gate(quota);
    let held = Held {
        with_it: 5_001,
        allowed: 5_940,
        quota: 6_000,
    };
    let (arrived, streak) = (0, 1);
    let call = ThrottledCall {
        arrived,
        streak,
        has_other_fallen: false,
    };
    assert!(gate.on_throttle(held, call, 0));
    let allowed = gate.allowed();
    assert!((4_900..5_000).contains(&allowed), "{allowed}");
    let burst = drain(&mut gate, 0, 1);
    // What is allowed is rounded down.
    assert!((gate_burst(allowed)..=gate_burst(allowed + 1)).contains(&burst));
    let calls = drain(&mut gate, 1, MINUTE);
    assert!(calls + burst <= allowed, "{calls}");
}

/// A tenth of what flows in, which is a hundredth less than what the window holds.
fn gate_burst(allowed: u64) -> u64 {
    allowed * 98 / 99 / 10
}

/// What a call that arrived then has found.
fn found(with_it: u64, arrived: Nanos) -> (Held, ThrottledCall) {
    let held = Held {
        with_it,
        allowed: 6_000,
        quota: 6_000,
    };
    let call = ThrottledCall {
        arrived,
        streak: 1,
        has_other_fallen: false,
    };
    (held, call)
}

#[test]
fn a_window_that_drains_is_probed_when_a_part_of_it_has_left() {
    let mut gate = gate(Quota::per_minute(6_000, 1));
    drain(&mut gate, 0, MINUTE);
    gate.advance(MINUTE, true);
    assert_eq!(gate.drains_at(MINUTE), MINUTE, "it does not drain");
    let (held, call) = found(5_000, 1);
    gate.on_draining(held, call);
    let after = gate.drains_at(MINUTE) - MINUTE;
    assert!((1..=2 * SECOND).contains(&after), "{after}");
    gate.end_draining(MINUTE);
    assert_eq!(gate.drains_at(MINUTE), MINUTE);
}

#[test]
fn what_the_last_throttle_of_a_draining_window_found_is_the_limit() {
    let mut gate = gate(Quota::per_minute(6_000, 1));
    for (with_it, arrived) in [(5_500, 1), (5_000, 2)] {
        let (held, call) = found(with_it, arrived);
        gate.on_draining(held, call);
        assert_eq!(gate.believed(), 6_000);
    }
    gate.end_draining(0);
    let believed = gate.believed();
    assert!((5_000..5_100).contains(&believed), "{believed}");
    // It counts once.
    gate.believe(6_000, 0);
    gate.end_draining(0);
    assert_eq!(gate.believed(), 6_000);
}

#[test]
fn a_start_that_becomes_a_plain_quota_is_not_exceeded_any_more() {
    let start = Quota::at_least(60, 1);
    let mut gate = gate(start);
    gate.believe(6_000, 0);
    assert_eq!(gate.believed(), 6_000);
    gate.set_quota(&start, &Quota::per_minute(100, 1), 100, 0);
    assert_eq!(gate.believed(), 100);
    assert!(gate.allowed() <= 100);
}
