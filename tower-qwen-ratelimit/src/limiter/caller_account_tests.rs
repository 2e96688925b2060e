use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use tower_qwen_tokens::internal::clock;

use super::{CallerAccount, Limiter};
use crate::{
    cost::{Cost, OutputLimit},
    key::{KeyRef, NameRef},
    quota::{Pacing, Quota},
    rejection::{Rejection, RejectionKind},
    reservation::Reservation,
};

const WINDOW: u64 = 60_000_000_000;
const SLOTS: u64 = 128;
const TOKENS: u64 = 1_000;
/// No answer is known here, so none is expected to bring more than a sixteenth of the window.
const MOST_EXPECTED: u64 = TOKENS / 16;

fn account(quota: Quota) -> Arc<CallerAccount> {
    Limiter::new(quota).caller_account(KeyRef::new(NameRef::Anyone, ""))
}

fn try_reserve(account: &CallerAccount, cost: Cost) -> Result<Reservation, Rejection> {
    account.try_reserve(cost, None).at_once()
}

fn cost(tokens: u64) -> Cost {
    Cost::new(tokens, OutputLimit::NoOutput)
}

/// What was charged, by slot.
#[derive(Debug, Clone, Default)]
struct Ring(BTreeMap<u64, u64>);

/// Requests and tokens as they should be counted: computed in another way than the code does.
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
            let account = account(Quota::per_minute(requests, TOKENS));
            let mut model = Model::new(requests, TOKENS);
            let mut running = Vec::new();
            for step in steps {
                match step {
                    Step::Advance(nanos) => {
                        tokio::time::advance(Duration::from_nanos(nanos)).await;
                        model.now += nanos;
                    }
                    Step::Call(input, output) | Step::DropUnsent(input, output) => {
                        let reserved = try_reserve(&account, Cost::new(input, OutputLimit::AtMost(output)));
                        let output = output.min(MOST_EXPECTED);
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
                            Err(rejection) => {
                                let wait = u64::try_from(rejection.wait().unwrap().as_nanos()).unwrap();
                                let mut then = model.clone();
                                then.now = model.now + wait - 1;
                                prop_assert!(!then.fits(input, output), "no sooner than said");
                                match rejection.kind() {
                                    RejectionKind::Requests => prop_assert!(!then.requests_fit()),
                                    RejectionKind::Tokens => prop_assert!(!then.tokens_fit(input, output)),
                                    kind => prop_assert!(false, "{kind:?} has no wait"),
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
                prop_assert_eq!(account.request_status(now).unwrap().remaining, model.requests_left());
                prop_assert_eq!(account.token_status(now).remaining, model.tokens_left());
            }
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_tokens_or_without_requests_takes_neither() {
    let account = account(Quota::per_minute(2, 100));
    let now = clock::now();
    assert!(try_reserve(&account, cost(101)).is_err());
    assert_eq!(account.request_status(now).unwrap().remaining, 2);
    for _ in 0..2 {
        try_reserve(&account, cost(10)).unwrap().mark_sent();
    }
    let rejection = try_reserve(&account, cost(10)).unwrap_err();
    assert_eq!(rejection.kind(), RejectionKind::Requests);
    assert_eq!(rejection.wait(), Some(Duration::from_secs(30)));
    assert_eq!(account.token_status(now).remaining, 80);
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_has_no_wait() {
    let reject = |account: &CallerAccount, tokens| {
        let rejection = try_reserve(account, cost(tokens)).unwrap_err();
        (rejection.kind(), rejection.wait())
    };
    let small = account(Quota::per_minute(1, 100));
    assert_eq!(reject(&small, 101), (RejectionKind::TooLarge, None));
    try_reserve(&small, cost(100)).unwrap().mark_sent();
    assert_eq!(
        reject(&small, 101),
        (RejectionKind::TooLarge, None),
        "not even later"
    );
    let closed = account(Quota::per_minute(0, 100));
    assert_eq!(reject(&closed, 1), (RejectionKind::Closed, None));
}

#[tokio::test(start_paused = true)]
async fn the_whole_quota_goes_at_once_whatever_the_pacing() {
    for pacing in [Pacing::Smooth, Pacing::Window] {
        let account = account(Quota::per_minute(10, 100).pacing(pacing).headroom(50));
        for _ in 0..10 {
            try_reserve(&account, cost(10)).unwrap().mark_sent();
        }
        assert!(try_reserve(&account, cost(10)).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_shows_the_requests_of_governor() {
    let account = account(Quota::per_minute(10, 100));
    try_reserve(&account, cost(10)).unwrap().mark_sent();
    let snapshot = account.snapshot(clock::now());
    assert_eq!((snapshot.requests.quota, snapshot.requests.used), (10, 1));
    assert_eq!((snapshot.tokens.quota, snapshot.tokens.used), (100, 10));
}
