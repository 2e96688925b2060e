//! The laws of an account, over random schedules of calls, settles, failures and drops.

mod answers;
#[cfg(feature = "redis")]
mod fleet;
mod head;
mod idle;
mod life;
mod throttles;
mod wakes;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tower_qwen_tokens::internal::clock;

use super::{
    Account, AccountConfig,
    charge::{Charge, Outcome},
    state::State,
};
use crate::{
    adapt::Plan,
    cost::{Cost, OutputLimit},
    gate::Capacity,
    key::Key,
    observe::Observers,
    queue::{DEFAULT_AGEING, Discipline, WaitQueue},
    quota::{Pacing, Quota, Reserve},
    units::{NEVER, Nanos},
};

const WINDOW: Nanos = 60_000_000_000;

/// An account in which nine calls may wait.
fn account(quota: Quota) -> Arc<Account> {
    let now = clock::now();
    let config = AccountConfig {
        max_queued: 9,
        discipline: Discipline::default(),
        ageing: DEFAULT_AGEING,
        observers: Observers::default(),
        plan_probe_interval: None,
    };
    Arc::new(Account::new(Key::tenant("a"), quota, config, now, now))
}

#[derive(Debug, Clone)]
enum Step {
    Admit { input: u64, ceiling: Option<u64> },
    Pass { nanos: u64 },
    Finish { which: usize, outcome: Finish },
}

#[derive(Debug, Clone, Copy)]
enum Finish {
    Known { input: u64, output: u64 },
    EstimateStands,
    Rejected,
    PromptOnly,
    NeverSent,
}

/// What really happened, in full.
#[derive(Debug, Default)]
struct Log {
    /// Dated at the send: the estimate while outstanding, the truth once settled.
    sends: Vec<Entry>,
    outstanding: Vec<(usize, Charge)>,
}

#[derive(Debug)]
struct Entry {
    at: Nanos,
    ended: Option<Nanos>,
    input: u64,
    output: u64,
    sent: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let admit = (1..800u64, prop::option::of(1..2_000u64))
        .prop_map(|(input, ceiling)| Step::Admit { input, ceiling });
    let pass = (0..WINDOW / 8).prop_map(|nanos| Step::Pass { nanos });
    let outcome = prop_oneof![
        6 => (1..800u64, 0..3_000u64).prop_map(|(input, output)| Finish::Known { input, output }),
        1 => Just(Finish::EstimateStands),
        1 => Just(Finish::Rejected),
        1 => Just(Finish::PromptOnly),
        1 => Just(Finish::NeverSent),
    ];
    let finish =
        (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Finish { which, outcome });
    prop::collection::vec(prop_oneof![3 => admit, 2 => pass, 3 => finish], 1..150)
}

fn quotas() -> impl Strategy<Value = Quota> {
    let burst = prop_oneof![Just(1), Just(60)].prop_map(Duration::from_secs);
    (
        1..50u64,
        1_000..20_000u64,
        any::<bool>(),
        any::<bool>(),
        0..20u8,
        burst,
    )
        .prop_map(|(requests, tokens, smooth, ceiling, headroom, burst)| {
            Quota::per_minute(requests, tokens)
                .headroom(headroom)
                .burst(burst)
                .pacing(if smooth {
                    Pacing::Smooth
                } else {
                    Pacing::Window
                })
                .reserve(if ceiling {
                    Reserve::Ceiling
                } else {
                    Reserve::Expected
                })
        })
}

impl Log {
    fn within_window<'a>(
        &'a self,
        now: Nanos,
        date: impl Fn(&Entry) -> Option<Nanos> + 'a,
    ) -> impl Iterator<Item = &'a Entry> {
        self.sends
            .iter()
            .filter(move |entry| entry.sent && date(entry).is_some_and(|at| now - at < WINDOW))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_three_laws_hold(quota in quotas(), steps in steps()) {
        let mut state = State::new(quota, WaitQueue::default(), Plan::new(None), 0);
        let mut log = Log::default();
        let mut now: Nanos = 0;
        let mut bucket_was_full = false;
        let mut bucket_owed_most = false;
        for step in steps {
            match step {
                Step::Pass { nanos } => now += nanos,
                Step::Admit { input, ceiling } => {
                    state.advance(now);
                    let estimate = state.estimate(Cost::new(input, ceiling.map_or(OutputLimit::Unlimited, OutputLimit::AtMost)), None);
                    if !state.fits_a_window(estimate) {
                        continue;
                    }
                    let at = state.ready_at(estimate);
                    prop_assert!(at != NEVER, "what fits a window goes at some time");
                    now = now.max(at);
                    bucket_was_full |= fills_by(&state, now);
                    state.advance(now);
                    let charge = state.charge(estimate);
                    log.outstanding.push((log.sends.len(), charge));
                    log.sends.push(Entry { at: now, ended: None, input: charge.input, output: charge.output, sent: true });

                    // Law 2, as either dating sees it.
                    let requests = log.within_window(now, |entry| Some(entry.at)).count() as u64;
                    prop_assert!(requests <= quota.usable(quota.requests()));
                    let at_send: u64 = log.within_window(now, |entry| Some(entry.at)).map(|e| e.input + e.output).sum();
                    prop_assert!(at_send <= quota.usable(quota.tokens()), "{at_send}");
                    let prompts: u64 = log.within_window(now, |entry| Some(entry.at)).map(|e| e.input).sum();
                    let answers: u64 = log.within_window(now, |entry| entry.ended).map(|e| e.output).sum();
                    prop_assert!(prompts + answers <= quota.usable(quota.tokens()));
                }
                Step::Finish { which, outcome } if !log.outstanding.is_empty() => {
                    bucket_was_full |= fills_by(&state, now);
                    state.advance(now);
                    let (entry, charge) = log.outstanding.swap_remove(which % log.outstanding.len());
                    let outcome = match outcome {
                        Finish::Known { input, output } => Outcome::Known { input, output },
                        Finish::EstimateStands => Outcome::EstimateStands,
                        Finish::Rejected => Outcome::Rejected,
                        Finish::PromptOnly => Outcome::PromptOnly,
                        Finish::NeverSent => Outcome::NeverSent,
                    };
                    state.settle(charge, outcome);
                    bucket_was_full |= is_full(&state);
                    bucket_owed_most |= owes_most(&state, &quota);
                    let entry = &mut log.sends[entry];
                    (entry.input, entry.output) = match outcome {
                        Outcome::Known { input, output } => (input, output),
                        Outcome::EstimateStands => (charge.input, charge.output),
                        Outcome::PromptOnly => (charge.input, 0),
                        Outcome::Rejected | Outcome::NeverSent => (0, 0),
                    };
                    entry.sent = outcome != Outcome::NeverSent;
                    entry.ended = Some(now);
                }
                Step::Finish { .. } => {}
            }

            // Law 1, to the token.
            let outstanding: u64 = log.outstanding.iter().map(|(_, charge)| charge.total()).sum();
            let all: u64 = log.sends.iter().map(|entry| entry.input + entry.output).sum();
            prop_assert_eq!(state.reserved_tokens, outstanding);
            prop_assert_eq!(state.settled_tokens + outstanding, all);
            prop_assert_eq!(state.in_flight, log.outstanding.len() as u64);

            // Law 3: as long as the bucket was never full, nor owed more than it may, its level is
            // the replay of what was really used.
            bucket_was_full |= fills_by(&state, now);
            state.advance(now);
            if let (Some(level), false) = (state.tokens.snapshot().level, bucket_was_full || bucket_owed_most) {
                let rate = quota.rate_of(quota.tokens());
                let begun = i128::from(Capacity::of(&quota, rate).burst.max(1));
                let replayed = (begun - i128::from(all)) * i128::from(WINDOW) + i128::from(rate) * i128::from(now);
                prop_assert_eq!(i128::from(level), replayed.div_euclid(i128::from(WINDOW)));
            }
        }
    }
}

fn is_full(state: &State) -> bool {
    state.tokens.fills_at() <= state.now
}

/// Whether the tokens' buckets are at their lowest: what flows in during two windows is owed.
fn owes_most(state: &State, quota: &Quota) -> bool {
    let most = i64::try_from(2 * quota.rate_of(quota.tokens())).unwrap();
    let level = state.tokens.snapshot().level;
    level.is_some_and(|level| level <= -most)
}

/// Whether the tokens' bucket overflows on the way to `now`.
fn fills_by(state: &State, now: Nanos) -> bool {
    state.tokens.fills_at() <= now
}

#[test]
fn a_call_alone_above_the_allowed_share_still_goes() {
    use tower_qwen_tokens::Cause;

    let mut state = State::new(
        Quota::per_minute(100, 10_000).reserve(Reserve::Ceiling),
        WaitQueue::default(),
        Plan::new(None),
        0,
    );
    let mut now = 0;
    // Every second call is accepted: refusals without an accepted call in between are one.
    for number in 0..30 {
        let charge = state.estimate(Cost::request(), None);
        now = state.ready_at(charge);
        state.advance(now);
        let charge = state.charge(charge);
        if number % 2 == 0 {
            state.on_throttle(charge, Cause::TokenRate, Some(Duration::from_secs(1)), None);
        } else {
            state.on_accept(charge);
        }
        state.settle(charge, Outcome::Rejected);
    }
    assert!(
        state.tokens.allowed() < 9_000,
        "the call is larger than what is allowed at present"
    );
    let large = state.estimate(Cost::new(100, OutputLimit::AtMost(9_000)), None);
    let at = state.ready_at(large);
    assert!(at != NEVER && at > now);
}

/// An absurd `usage` closed an account for 584 years.
#[test]
fn a_settle_holds_calls_up_for_two_windows_at_most_and_a_new_quota_forgives_it() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        let quota = Quota::per_minute(100, 10_000).headroom(0).pacing(pacing);
        let mut state = State::new(quota, WaitQueue::default(), Plan::new(None), 0);
        let call = state.estimate(Cost::new(10, OutputLimit::NoOutput), None);
        state.advance(WINDOW);
        for _ in 0..3 {
            let charge = state.charge(call);
            let (input, output) = (u64::MAX / 2, u64::MAX / 2);
            state.settle(charge, Outcome::Known { input, output });
        }
        assert_eq!(state.settled_tokens, u64::MAX, "the sums keep the figure");
        let ready = state.ready_at(call);
        assert!(ready <= WINDOW + 2 * WINDOW + WINDOW / 60, "{ready}");
        state.set_quota(quota);
        let ready = state.ready_at(call);
        assert!(
            ready <= WINDOW + WINDOW + WINDOW / 60,
            "one window: {ready}"
        );
        assert!(state.tokens.snapshot().level.is_none_or(|level| level == 0));
    }
}
