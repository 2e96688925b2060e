use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use tower_qwen_tokens::{Cause, internal::clock::now};

use super::*;

const BAD_KEY: Leave = Leave::Permanent(Cause::Unauthorized);
const THROTTLED: Leave = Leave::LongHint(Cause::RequestRate);
const TARGET: u64 = 7;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn closed(cool_downs: &CoolDowns, now: Instant) -> Option<Instant> {
    match cool_downs.access(TARGET, now) {
        Access::Closed(closed) => Some(closed.until),
        Access::Open | Access::Probe(_) => None,
    }
}

#[test]
fn a_hint_is_the_floor_and_its_end_opens_to_all() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    assert!(cool_downs.is_empty());
    cool_downs.failed(TARGET, CoolDown::until(THROTTLED, start, secs(300)), start);
    assert!(!cool_downs.is_empty());
    assert_eq!(
        closed(&cool_downs, start + secs(299)),
        Some(start + secs(300))
    );
    assert_eq!(cool_downs.access(TARGET, start + secs(300)), Access::Open);
    assert_eq!(cool_downs.access(TARGET + 1, start), Access::Open);
}

#[test]
fn a_long_hint_is_probed_each_half_hour() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    let day = CoolDown::until(THROTTLED, start, secs(86_400));
    assert_eq!(day.length(start), secs(1_800));
    cool_downs.failed(TARGET, day, start);
    let half_hour = start + secs(1_800);
    assert_eq!(closed(&cool_downs, start), Some(half_hour));
    assert_eq!(
        cool_downs.access(TARGET, half_hour),
        Access::Probe(THROTTLED)
    );
    assert!(cool_downs.take_probe(TARGET, half_hour));
    assert!(!cool_downs.take_probe(TARGET, half_hour), "one call alone");
    assert_eq!(closed(&cool_downs, half_hour), Some(start + secs(3_600)));
    assert_eq!(
        cool_downs.access(TARGET, start + secs(86_400)),
        Access::Open
    );
}

#[test]
fn a_permanent_cause_ends_by_a_probe_alone() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
    cool_downs.failed(TARGET, cool_down, start);
    // A straggler's throttle does not open it.
    cool_downs.failed(TARGET, CoolDown::until(THROTTLED, start, secs(5)), start);
    assert_eq!(
        closed(&cool_downs, start + secs(6)),
        Some(start + secs(300))
    );
    assert!(cool_downs.take_probe(TARGET, start + secs(10_000)));
    cool_downs.succeeded(TARGET, true);
    assert_eq!(
        cool_downs.access(TARGET, start + secs(10_000)),
        Access::Open
    );
    assert!(cool_downs.is_empty());
    let hinted = CoolDown::probed(BAD_KEY, start, secs(300), Some(secs(600)));
    assert_eq!(hinted.length(start), secs(600));
}

#[test]
fn a_plan_is_closed_until_its_end_and_probed() {
    let start = now();
    let ends = CoolDown::of_plan(BAD_KEY, start, Some(secs(18_000)));
    assert_eq!(ends.access(start + secs(1_800)), Access::Probe(BAD_KEY));
    assert_eq!(ends.access(start + secs(18_000)), Access::Open);
    let unknown = CoolDown::of_plan(BAD_KEY, start, None);
    assert_eq!(unknown.access(start + secs(1_800)), Access::Probe(BAD_KEY));
}

#[test]
fn the_number_of_targets_is_bounded() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    for target in 0..2_000 {
        let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
        cool_downs.failed(target, cool_down, start);
    }
    assert_eq!(cool_downs.lock().len(), MOST);
    cool_downs.failed(0, CoolDown::until(THROTTLED, start, secs(1)), start);
    assert_eq!(cool_downs.lock().len(), MOST);
}

#[test]
fn a_rejection_alone_closes_nothing_and_a_success_between_begins_anew() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    let rejected = || {
        let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
        cool_downs.rejected(TARGET, cool_down, start)
    };
    assert!(!rejected() && cool_downs.is_empty() && cool_downs.has_rejecting());
    cool_downs.succeeded(TARGET, false);
    assert!(!cool_downs.has_rejecting());
    assert!(!rejected() && rejected() && !cool_downs.is_empty());
    // The success of a call that is no probe ends it too.
    cool_downs.succeeded(TARGET, false);
    assert!(cool_downs.is_empty());
}

#[test]
fn neither_kind_lengthens_the_other() {
    let (cool_downs, start) = (CoolDowns::new(), now());
    cool_downs.failed(TARGET, CoolDown::until(THROTTLED, start, secs(20)), start);
    for _ in 0..2 {
        let cool_down = CoolDown::probed(BAD_KEY, start, secs(300), None);
        cool_downs.rejected(TARGET, cool_down, start);
    }
    for (at, until, is_rejecting) in [(0, 20, false), (19, 20, false), (20, 300, true)] {
        let leave = if is_rejecting { BAD_KEY } else { THROTTLED };
        let closed = Closed {
            until: start + secs(until),
            leave,
            is_rejecting,
        };
        let access = cool_downs.access(TARGET, start + secs(at));
        assert_eq!(access, Access::Closed(closed), "{at}");
    }
    // A call that was under way when the throttle came says nothing of it.
    cool_downs.succeeded(TARGET, false);
    assert_eq!(closed(&cool_downs, start), Some(start + secs(20)));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Advance(u64),
    /// A call comes, and may become the probe; it ends so.
    Call(Ends),
    /// A call that was under way ends so.
    Straggler(Ends),
}

#[derive(Debug, Clone, Copy)]
enum Ends {
    Well,
    Hint(u64),
    Retries,
    Rejected,
}

fn steps(ends: impl Strategy<Value = Ends> + Clone) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..2_000).prop_map(Step::Advance),
        ends.clone().prop_map(Step::Call),
        ends.prop_map(Step::Straggler),
    ];
    proptest::collection::vec(step, 0..200)
}

fn failures() -> impl Strategy<Value = Ends> + Clone {
    let hint = (0_u64..10_000).prop_map(Ends::Hint);
    prop_oneof![Just(Ends::Well), hint, Just(Ends::Retries)]
}

fn rejections() -> impl Strategy<Value = Ends> + Clone {
    prop_oneof![Just(Ends::Well), Just(Ends::Rejected)]
}

/// What the laws know of the target: written without the code that they are about.
#[derive(Debug, Default)]
struct Model {
    /// Until when it is closed by rejections at least.
    rejecting: Option<Instant>,
    rejections_in_a_row: u32,
    last_failure: Option<Instant>,
}

fn ended(cool_downs: &CoolDowns, model: &mut Model, ends: Ends, is_probe: bool, now: Instant) {
    match ends {
        Ends::Well => {
            cool_downs.succeeded(TARGET, is_probe);
            model.rejections_in_a_row = 0;
            model.rejecting = None;
            if is_probe {
                *model = Model::default();
            }
        }
        Ends::Hint(wait) => {
            cool_downs.failed(TARGET, CoolDown::until(THROTTLED, now, secs(wait)), now);
            model.last_failure = Some(now);
        }
        Ends::Retries => {
            let cool_down = CoolDown::probed(THROTTLED, now, AFTER_RETRIES, None);
            cool_downs.failed(TARGET, cool_down, now);
            model.last_failure = Some(now);
        }
        Ends::Rejected => {
            let cool_down = CoolDown::probed(BAD_KEY, now, secs(300), None);
            model.rejections_in_a_row += 1;
            let has_begun = cool_downs.rejected(TARGET, cool_down, now);
            assert_eq!(has_begun, model.rejections_in_a_row >= 2);
            if has_begun {
                model.rejecting = model.rejecting.max(Some(now + secs(300)));
            }
        }
    }
}

proptest! {
    /// While a target is in cool-down of one kind, at most one call in each interval goes there as a probe, whoever fails.
    #[test]
    fn a_target_in_cool_down_gets_one_probe_in_each_interval(
        steps in prop_oneof![steps(failures()), steps(rejections())],
    ) {
        let (cool_downs, mut now) = (CoolDowns::new(), now());
        let mut model = Model::default();
        // The instant before which no further probe may go.
        let mut next: Option<Instant> = None;
        for step in steps {
            match step {
                Step::Advance(by) => now += secs(by),
                Step::Straggler(ends) => ended(&cool_downs, &mut model, ends, false, now),
                Step::Call(ends) => match cool_downs.access(TARGET, now) {
                    Access::Open => next = None,
                    Access::Closed(closed) => prop_assert!(closed.until > now),
                    Access::Probe(_) => {
                        prop_assert!(next.is_none_or(|next| now >= next), "too early");
                        let known = cool_downs.lock()[&TARGET];
                        let both = [known.failures, known.rejections];
                        let interval = both.iter().flatten().map(|it| it.interval).min();
                        prop_assert!(cool_downs.take_probe(TARGET, now));
                        prop_assert!(!cool_downs.take_probe(TARGET, now));
                        next = interval.map(|interval| now + interval);
                        ended(&cool_downs, &mut model, ends, true, now);
                        if matches!(ends, Ends::Well) {
                            next = None;
                        }
                    }
                },
            }
            // A success that is no probe ends a cool-down of rejections, and the next begins anew.
            if cool_downs.is_empty() {
                next = None;
            }
        }
    }

    /// Rejections close a target from the second in a row on, only until a success, and never as failures do.
    #[test]
    fn rejections_close_from_the_second_in_a_row_until_a_success(
        steps in steps(prop_oneof![failures(), rejections()]),
    ) {
        let (cool_downs, mut now) = (CoolDowns::new(), now());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Advance(by) => now += secs(by),
                Step::Straggler(ends) => ended(&cool_downs, &mut model, ends, false, now),
                Step::Call(ends) => {
                    let is_probe = cool_downs.take_probe(TARGET, now);
                    ended(&cool_downs, &mut model, ends, is_probe, now);
                }
            }
            if let Access::Closed(closed) = cool_downs.access(TARGET, now) {
                if closed.is_rejecting {
                    prop_assert!(model.rejections_in_a_row >= 2);
                } else {
                    prop_assert!(model.last_failure.is_some());
                }
            }
            prop_assert_eq!(cool_downs.has_rejecting(), model.rejections_in_a_row > 0);
            if model.rejecting.is_some_and(|until| until > now) {
                let is_closed = matches!(cool_downs.access(TARGET, now), Access::Closed(_));
                prop_assert!(is_closed, "it began, and no success has come");
            }
        }
    }
}
