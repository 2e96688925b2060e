//! What processes with parts send together, whichever of them come, go, idle and hold what.

use std::collections::VecDeque;

use proptest::prelude::*;
use tower_qwen_tokens::internal::clock::Instant;

use super::*;

const WINDOW: Duration = Duration::from_secs(60);
/// The tokens of every call.
const LARGEST: u64 = 20;
const TERM: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(5);

/// Few tokens, so that a window is few calls; requests are not in the way.
fn quotas() -> impl Strategy<Value = Quota> {
    let quota = Quota::per_minute(1_000_000, 6_000);
    prop_oneof![
        3 => Just(quota),
        1 => (0..6u64).prop_map(move |burst| quota.burst(Duration::from_secs(burst))),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    /// Time passes, in which these members use all that they may.
    Pass { millis: u64, busy: [bool; 3] },
    /// The parts are divided anew.
    Divide([u32; 3]),
    /// A member ends, or dies, and another process comes in its place.
    Replace { which: usize, dies: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_000u64, any::<[bool; 3]>()).prop_map(|(millis, busy)| Step::Pass { millis, busy }),
        3 => any::<[u16; 3]>().prop_map(|parts| Step::Divide(parts.map(u32::from))),
        1 => (0..3usize, any::<bool>()).prop_map(|(which, dies)| Step::Replace { which, dies }),
    ];
    prop::collection::vec(step, 1..60)
}

struct Members {
    quota: Quota,
    members: Vec<Fleet>,
    parts: [Fraction; 3],
    /// When each was last granted its part.
    granted_at: [Option<Instant>; 3],
    sent: VecDeque<(Duration, u64)>,
    began: Instant,
    /// How many there have been.
    born: u64,
}

impl Members {
    fn new(quota: Quota) -> Self {
        Self {
            quota,
            members: (0..3).map(|_| member(quota)).collect(),
            parts: [Fraction::ZERO; 3],
            granted_at: [None; 3],
            sent: VecDeque::new(),
            began: clock::now(),
            born: 3,
        }
    }

    fn grant(&mut self, which: usize, is_new: bool) {
        let reply = HeartbeatReply {
            is_new,
            ..heartbeat_reply(3, self.parts[which], u64::MAX)
        };
        let account = &self.members[which].account;
        account.on_heartbeat(reply, clock::now(), TERM);
        self.granted_at[which] = Some(clock::now());
    }

    fn was_granted_within(&self, which: usize, time: Duration) -> bool {
        self.granted_at[which].is_some_and(|at| clock::now() - at < time)
    }

    /// Who has less says so before another one has more. Who is idle learns of it when it has calls again.
    fn divide(&mut self, weights: [u32; 3]) {
        let all = u64::from(weights.iter().sum::<u32>()).max(1);
        let before = self.parts;
        self.parts = weights.map(|weight| Fraction::ratio(u64::from(weight), all));
        let (less, more): (Vec<usize>, Vec<usize>) =
            (0..3).partition(|&which| self.parts[which] < before[which]);
        for which in less.into_iter().chain(more) {
            if self.was_granted_within(which, TERM) {
                self.grant(which, false);
            }
        }
    }

    /// Lets all go that may.
    fn send(&mut self, busy: [bool; 3]) {
        for which in (0..3).filter(|which| busy[*which]) {
            if !self.was_granted_within(which, INTERVAL) {
                self.grant(which, false);
            }
        }
        for (member, _) in self
            .members
            .iter()
            .zip(busy)
            .filter(|(_, is_busy)| *is_busy)
        {
            while let Poll::Ready(call) = task::spawn(member.acquire(LARGEST)).poll() {
                call.unwrap().mark_sent();
                self.sent.push_back((clock::now() - self.began, LARGEST));
            }
        }
    }

    async fn pass(&mut self, millis: u64, busy: [bool; 3]) {
        for _ in 0..millis / 100 {
            advance(Duration::from_millis(100)).await;
            self.send(busy);
        }
    }

    fn replace(&mut self, which: usize) {
        self.members[which] = member(self.quota);
        self.granted_at[which] = None;
        self.born += 1;
    }

    fn bound(&self) -> u64 {
        let snapshot = self.members[0].account.snapshot(clock::now());
        let beyond = snapshot.fleet.unwrap().may_overshoot_tokens;
        // The snapshot counts those that live.
        self.quota.tokens() + beyond + (self.born - 3) * LARGEST
    }

    /// The most that any window has seen.
    fn most(&self) -> u64 {
        let (mut first, mut sum, mut most) = (0, 0, 0);
        for &(at, tokens) in &self.sent {
            sum += tokens;
            while at - self.sent[first].0 >= WINDOW {
                sum -= self.sent[first].1;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }
}

fn member(quota: Quota) -> Fleet {
    Fleet::new(
        quota,
        Sharing::Lease,
        OutagePolicy::LocalShare,
        Discipline::Fifo,
    )
}

const FIRST: [bool; 3] = [true, false, false];
const SECOND: [bool; 3] = [false, true, false];
const NOBODY: [bool; 3] = [false; 3];

#[tokio::test(start_paused = true)]
async fn who_starts_brings_no_burst() {
    let mut fleet = Members::new(Quota::per_minute(1_000_000, 6_000));
    fleet.divide([1, 0, 0]);
    fleet.pass(30_000, FIRST).await;
    let before = fleet.most();
    for _ in 0..20 {
        fleet.replace(0);
        fleet.send(FIRST);
    }
    assert_eq!(fleet.most(), before);
}

/// What one seems to save while others have its part is not its own.
#[tokio::test(start_paused = true)]
async fn who_returns_brings_nothing() {
    let mut fleet = Members::new(Quota::per_minute(1_000_000, 6_000));
    for (whole, busy) in [([1, 0, 0], FIRST), ([0, 1, 0], SECOND)] {
        fleet.divide(whole);
        fleet.send(busy);
        fleet.pass(16_000, NOBODY).await;
    }
    fleet.divide([1, 0, 0]);
    fleet.pass(25_000, FIRST).await;
    fleet.divide([0, 1, 0]);
    fleet.pass(30_000, SECOND).await;
    let flowed = 6_000 * 98 / 100 * 55 / 60;
    let owed = 2 * LARGEST;
    assert!(fleet.most() <= flowed + owed, "{}", fleet.most());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_exceed_the_quota_by_what_the_snapshot_says(quota in quotas(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut fleet = Members::new(quota);
            fleet.parts[0] = Fraction::WHOLE;
            fleet.grant(0, true);
            for step in steps {
                match step {
                    Step::Pass { millis, busy } => fleet.pass(millis, busy).await,
                    Step::Divide(weights) => fleet.divide(weights),
                    Step::Replace { which, dies } => {
                        fleet.replace(which);
                        // What the dead one held is free after its term.
                        if dies {
                            advance(TERM).await;
                        }
                    }
                }
            }
            let (most, bound) = (fleet.most(), fleet.bound());
            prop_assert!(most <= bound, "{most} of {bound}");
            Ok(())
        })?;
    }
}
