//! The law of the window with throttles in the schedule: a quota that was told is a ceiling.

use std::time::Duration;

use proptest::prelude::*;
use tower_qwen_tokens::Cause;

use super::{Entry, Log, Outcome, Plan, State, WINDOW, WaitQueue, quotas};
use crate::{
    cost::{Cost, OutputLimit},
    units::{NEVER, Nanos},
};

#[derive(Debug, Clone)]
enum Step {
    /// A call goes as soon as it may.
    Admit {
        input: u64,
        ceiling: Option<u64>,
    },
    Pass {
        nanos: u64,
    },
    /// The provider accepts a call that is under way, and goes on with its answer.
    Accept {
        which: usize,
    },
    /// The answer of a call has come to its end.
    Finish {
        which: usize,
        input: u64,
        output: u64,
    },
    /// The provider refuses a call that is under way.
    Throttle {
        which: usize,
        cause: Cause,
        hint: Option<u64>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let admit = (1..800u64, prop::option::of(1..2_000u64))
        .prop_map(|(input, ceiling)| Step::Admit { input, ceiling });
    // Also for several windows: what was learned is then forgotten, and the limit looked for anew.
    let pass =
        prop_oneof![4 => 0..WINDOW / 8, 1 => 0..4 * WINDOW].prop_map(|nanos| Step::Pass { nanos });
    let accept = any::<usize>().prop_map(|which| Step::Accept { which });
    let finish =
        (any::<usize>(), 1..800u64, 0..3_000u64).prop_map(|(which, input, output)| Step::Finish {
            which,
            input,
            output,
        });
    let cause = prop::sample::select(vec![
        Cause::RequestRate,
        Cause::TokenRate,
        Cause::Growth,
        Cause::Concurrency,
        Cause::Capacity,
        Cause::Unavailable,
        Cause::Throttled,
    ]);
    let throttle = (
        any::<usize>(),
        cause,
        prop::option::weighted(0.2, 0..100u64),
    )
        .prop_map(|(which, cause, hint)| Step::Throttle { which, cause, hint });
    prop::collection::vec(
        prop_oneof![6 => admit, 3 => pass, 3 => accept, 3 => finish, 2 => throttle],
        1..150,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_throttle_makes_a_window_hold_more_than_the_quota(quota in quotas(), steps in steps()) {
        let mut state = State::new(quota, WaitQueue::default(), Plan::new(None), 0);
        let mut log = Log::default();
        let mut now: Nanos = 0;
        for step in steps {
            match step {
                Step::Pass { nanos } => now += nanos,
                Step::Admit { input, ceiling } => {
                    state.advance(now);
                    let output = ceiling.map_or(OutputLimit::Unlimited, OutputLimit::AtMost);
                    let estimate = state.estimate(Cost::new(input, output), None);
                    if !state.fits_a_window(estimate) {
                        continue;
                    }
                    let at = state.ready_at(estimate);
                    prop_assert!(at != NEVER, "what fits a window goes at some time");
                    now = now.max(at);
                    state.advance(now);
                    let charge = state.charge(estimate);
                    log.outstanding.push((log.sends.len(), charge));
                    log.sends.push(Entry { at: now, ended: None, input: charge.input, output: charge.output, sent: true });

                    let sent = || log.within_window(now, |entry| Some(entry.at));
                    prop_assert!(sent().count() as u64 <= quota.usable(quota.requests()));
                    let at_send: u64 = sent().map(|entry| entry.input + entry.output).sum();
                    prop_assert!(at_send <= quota.usable(quota.tokens()), "{at_send}");
                    let prompts: u64 = sent().map(|entry| entry.input).sum();
                    let answers: u64 = log.within_window(now, |entry| entry.ended).map(|entry| entry.output).sum();
                    prop_assert!(prompts + answers <= quota.usable(quota.tokens()));
                }
                Step::Accept { .. } | Step::Finish { .. } | Step::Throttle { .. } if log.outstanding.is_empty() => {}
                Step::Accept { which } => {
                    state.advance(now);
                    let which = which % log.outstanding.len();
                    let (_, charge) = &mut log.outstanding[which];
                    if state.requests.goes_at_once() {
                        state.redate(charge);
                    }
                    state.on_accept(*charge);
                }
                Step::Finish { which, input, output } => {
                    state.advance(now);
                    let (entry, charge) = log.outstanding.swap_remove(which % log.outstanding.len());
                    state.settle(charge, Outcome::Known { input, output });
                    let entry = &mut log.sends[entry];
                    (entry.input, entry.output, entry.ended) = (input, output, Some(now));
                }
                Step::Throttle { which, cause, hint } => {
                    state.advance(now);
                    let (entry, charge) = log.outstanding.swap_remove(which % log.outstanding.len());
                    state.on_throttle(charge, cause, hint.map(Duration::from_secs), None);
                    state.settle(charge, Outcome::Rejected);
                    let entry = &mut log.sends[entry];
                    (entry.input, entry.output, entry.ended) = (0, 0, Some(now));
                }
            }
            state.advance(now);
            prop_assert!(state.requests.believed() <= quota.requests());
            prop_assert!(state.tokens.believed() <= quota.tokens());
            prop_assert!(state.requests.allowed() <= quota.usable(quota.requests()));
            prop_assert!(state.tokens.allowed() <= quota.usable(quota.tokens()));
        }
    }
}
