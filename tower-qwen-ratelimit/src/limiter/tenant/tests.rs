use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{cost::OutputLimit, key::NameRef, limiter::Limiter};

const WINDOW: u64 = 60_000_000_000;
const SLOTS: u64 = 128;

fn tenant(quota: Quota) -> Arc<Tenant> {
    Limiter::new(quota).tenant(KeyRef {
        name: NameRef::Anyone,
        model: "",
    })
}

fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}

/// What was charged, by slot.
#[derive(Debug, Clone, Default)]
struct Ring(BTreeMap<u64, u64>);

/// Requests and tokens as they should be counted: told in other words than the code's.
#[derive(Debug, Clone)]
struct Model {
    requests: u64,
    tokens: u64,
    now: u64,
    /// The instant at which all requests are back.
    back_at: u64,
    /// All tokens, dated at the send.
    sent: Ring,
    /// Prompts dated at the send, answers at their end.
    ended: Ring,
}

/// A call that was admitted.
struct Running {
    reservation: Reservation,
    slot: u64,
    input: u64,
    output: u64,
}

impl Ring {
    fn used(&self, slot: u64) -> u64 {
        let oldest = (slot + 1).saturating_sub(SLOTS);
        self.0.range(oldest..).map(|(_, tokens)| tokens).sum()
    }

    fn charge(&mut self, slot: u64, tokens: u64) {
        *self.0.entry(slot).or_default() += tokens;
    }

    /// Corrects a charge, as long as its slot is there.
    fn correct(&mut self, now: u64, slot: u64, charged: u64, actual: u64) {
        if now - slot < SLOTS {
            let tokens = self.0.get_mut(&slot).unwrap();
            *tokens = *tokens - charged + actual;
        }
    }
}

impl Model {
    fn new(requests: u64, tokens: u64) -> Self {
        Self {
            requests,
            tokens,
            now: 0,
            back_at: 0,
            sent: Ring::default(),
            ended: Ring::default(),
        }
    }

    fn interval(&self) -> u64 {
        WINDOW.div_ceil(self.requests)
    }

    fn slot(&self) -> u64 {
        self.now / WINDOW.div_ceil(SLOTS - 1)
    }

    fn requests_fit(&self) -> bool {
        self.back_at <= self.now + (self.requests - 1) * self.interval()
    }

    fn tokens_fit(&self, input: u64, output: u64) -> bool {
        self.sent.used(self.slot()) + input + output <= self.tokens
            && self.ended.used(self.slot()) + input <= self.tokens
    }

    fn fits(&self, input: u64, output: u64) -> bool {
        self.requests_fit() && self.tokens_fit(input, output)
    }

    fn admit(&mut self, input: u64, output: u64) -> u64 {
        self.back_at = self.back_at.max(self.now) + self.interval();
        let slot = self.slot();
        self.sent.charge(slot, input + output);
        self.ended.charge(slot, input);
        slot
    }

    fn settle(&mut self, call: &Running, input: u64, output: u64) {
        let now = self.slot();
        let charged = call.input + call.output;
        self.sent.correct(now, call.slot, charged, input + output);
        self.ended.correct(now, call.slot, call.input, input);
        self.ended.charge(now, output);
    }

    fn requests_left(&self) -> u64 {
        let owed = self.back_at.saturating_sub(self.now);
        self.requests - owed.div_ceil(self.interval())
    }

    fn tokens_left(&self) -> u64 {
        let used = self
            .sent
            .used(self.slot())
            .max(self.ended.used(self.slot()));
        self.tokens.saturating_sub(used)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Call(u64, u64),
    Settle(usize, u64, u64),
    DropUnsent(u64, u64),
    DropSent(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = || (0..400u64, 0..200u64);
    prop_oneof![
        2 => (0..WINDOW / 4).prop_map(Step::Advance),
        1 => (WINDOW / 2..2 * WINDOW).prop_map(Step::Advance),
        8 => tokens().prop_map(|(input, output)| Step::Call(input, output)),
        3 => (any::<usize>(), tokens()).prop_map(|(at, (input, output))| Step::Settle(at, input, output)),
        1 => tokens().prop_map(|(input, output)| Step::DropUnsent(input, output)),
        1 => any::<usize>().prop_map(Step::DropSent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn requests_and_tokens_all_or_nothing(
        requests in 1..12u64, steps in prop::collection::vec(step(), 1..80)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let tenant = tenant(Quota::per_minute(requests, 1_000));
            let mut model = Model::new(requests, 1_000);
            let mut running = Vec::new();
            for step in steps {
                match step {
                    Step::Advance(nanos) => {
                        tokio::time::advance(Duration::from_nanos(nanos)).await;
                        model.now += nanos;
                    }
                    Step::Call(input, output) | Step::DropUnsent(input, output) => {
                        let reserved = tenant.try_reserve(Cost::new(input, OutputLimit::AtMost(output)));
                        prop_assert_eq!(reserved.is_ok(), model.fits(input, output));
                        match reserved {
                            Ok(reservation) => {
                                let slot = model.admit(input, output);
                                let call = Running { reservation, slot, input, output };
                                if matches!(step, Step::Call(..)) {
                                    call.reservation.mark_sent();
                                    running.push(call);
                                } else {
                                    model.settle(&call, 0, 0);
                                }
                            }
                            Err(denied) => {
                                let wait = u64::try_from(denied.wait.unwrap().as_nanos()).unwrap();
                                let mut then = model.clone();
                                then.now = model.now + wait - 1;
                                prop_assert!(!then.fits(input, output), "no sooner than said");
                                match denied.dimension {
                                    Dimension::Requests => prop_assert!(!then.requests_fit()),
                                    Dimension::Tokens => prop_assert!(!then.tokens_fit(input, output)),
                                }
                                then.now += 1;
                                prop_assert!(then.fits(input, output), "and no later");
                            }
                        }
                    }
                    Step::Settle(at, input, output) if !running.is_empty() => {
                        let call = running.swap_remove(at % running.len());
                        call.reservation.settle(input, output);
                        model.settle(&call, input, output);
                    }
                    Step::DropSent(at) if !running.is_empty() => {
                        let call: Running = running.swap_remove(at % running.len());
                        model.settle(&call, call.input, call.output);
                    }
                    Step::Settle(..) | Step::DropSent(_) => {}
                }
                let now = clock::now();
                prop_assert_eq!(tenant.requests_left(now).unwrap().now, model.requests_left());
                prop_assert_eq!(tenant.tokens_left(now).now, model.tokens_left());
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_tokens_or_without_requests_takes_neither() {
    let tenant = tenant(Quota::per_minute(2, 100));
    let now = clock::now();
    assert!(tenant.try_reserve(cost(101)).is_err());
    assert_eq!(tenant.requests_left(now).unwrap().now, 2);
    for _ in 0..2 {
        tenant.try_reserve(cost(10)).unwrap().mark_sent();
    }
    assert_eq!(
        tenant.try_reserve(cost(10)).unwrap_err(),
        Denied {
            dimension: Dimension::Requests,
            wait: Some(Duration::from_secs(30)),
        }
    );
    assert_eq!(tenant.tokens_left(now).now, 80);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_has_no_wait() {
    let never = |dimension| {
        Some(Denied {
            dimension,
            wait: None,
        })
    };
    let small = tenant(Quota::per_minute(1, 100));
    assert_eq!(small.try_reserve(cost(101)).err(), never(Dimension::Tokens));
    small.try_reserve(cost(100)).unwrap().mark_sent();
    assert_eq!(
        small.try_reserve(cost(101)).err(),
        never(Dimension::Tokens),
        "not even later"
    );
    let closed = tenant(Quota::per_minute(0, 100));
    assert_eq!(
        closed.try_reserve(cost(1)).err(),
        never(Dimension::Requests)
    );
}

#[tokio::test(start_paused = true)]
async fn the_whole_quota_goes_at_once_whatever_the_pacing() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        let tenant = tenant(Quota::per_minute(10, 100).pacing(pacing).headroom(50));
        for _ in 0..10 {
            tenant.try_reserve(cost(10)).unwrap().mark_sent();
        }
        assert!(tenant.try_reserve(cost(10)).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_shows_the_requests_of_governor() {
    let tenant = tenant(Quota::per_minute(10, 100));
    tenant.try_reserve(cost(10)).unwrap().mark_sent();
    let snapshot = tenant.snapshot(clock::now());
    assert_eq!((snapshot.requests.quota, snapshot.requests.used), (10, 1));
    assert_eq!((snapshot.tokens.quota, snapshot.tokens.used), (100, 10));
}
