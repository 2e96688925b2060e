//! Nobody waits beyond its deadline, is forgotten, or leaves anything booked, whatever the store
//! does.

use std::{task::Poll, time::Duration};

use proptest::prelude::*;
use tokio::time::advance;
use tokio_test::task;
use tower_qwen_tokens::{
    Deadline,
    internal::clock::{self, Instant},
    ledger::Tenant,
};

use super::{Fleet, OUTAGES, SHARINGS, TICK, quota};
use crate::{
    acquire::Acquire, error::RejectKind, fleet::BookingReply, queue::Discipline,
    reservation::Reservation, sharing::OutagePolicy, units::Fraction,
};

#[derive(Debug, Clone)]
enum Step {
    Join {
        flow: u8,
        earlier: Duration,
        tokens: u64,
        patience: Option<(Duration, RejectKind)>,
    },
    Leave(usize),
    End(usize),
    UsageReply(BookingReply),
    Grant {
        members: u64,
        granted: Fraction,
        slots: u64,
    },
    Away,
    Back,
    Pass(Duration),
}

fn time(millis: u64) -> impl Strategy<Value = Duration> {
    (0..millis).prop_map(Duration::from_millis)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![Just(RejectKind::Deadline), Just(RejectKind::MaxWait)];
    let patience = prop::option::weighted(0.8, (time(3_000), kind));
    let join = (0..3u8, time(5_000), 1..3_000u64, patience).prop_map(
        |(flow, earlier, tokens, patience)| Step::Join {
            flow,
            earlier,
            tokens,
            patience,
        },
    );
    let answer = prop_oneof![
        1 => time(3_000).prop_map(BookingReply::TooLate),
        1 => time(3_000).prop_map(BookingReply::In),
        3 => Just(BookingReply::In(Duration::ZERO)),
    ];
    let grant =
        (1..4u64, 0..=Fraction::WHOLE.parts(), 0..3u64).prop_map(|(members, granted, slots)| {
            Step::Grant {
                members,
                granted: Fraction::from_parts(granted),
                slots,
            }
        });
    let step = prop_oneof![
        6 => join,
        1 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::End),
        3 => answer.prop_map(Step::UsageReply),
        1 => grant,
        1 => Just(Step::Away),
        1 => Just(Step::Back),
        4 => time(800).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..80)
}

struct Waiting {
    acquire: task::Spawn<Acquire>,
    latest: Option<(Instant, RejectKind)>,
}

/// All who wait, and all who were admitted.
#[derive(Default)]
struct Calls {
    waiting: Vec<Waiting>,
    admitted: Vec<Reservation>,
}

impl Calls {
    /// Lets everybody look who was woken, until nobody is. Nobody is left beyond its deadline or
    /// rejected for another's.
    fn poll_woken(&mut self, outage: OutagePolicy) -> Result<(), TestCaseError> {
        while let Some(at) = self.waiting.iter().position(|one| one.acquire.is_woken()) {
            let one = &mut self.waiting[at];
            match one.acquire.poll() {
                Poll::Pending => {}
                Poll::Ready(Ok(reservation)) => {
                    self.admitted.push(reservation);
                    self.waiting.remove(at);
                }
                Poll::Ready(Err(rejected)) => {
                    let kind = one.latest.map(|(_, kind)| kind);
                    let is_away =
                        rejected.kind() == RejectKind::StoreAway && outage == OutagePolicy::Reject;
                    prop_assert!(is_away || Some(rejected.kind()) == kind, "{:?}", rejected);
                    self.waiting.remove(at);
                }
            }
        }
        let now = clock::now();
        let held = |one: &&Waiting| one.latest.is_some_and(|(latest, _)| latest + TICK < now);
        prop_assert_eq!(self.waiting.iter().filter(held).count(), 0);
        Ok(())
    }
}

proptest! {
    #[test]
    fn nobody_waits_beyond_its_deadline(
        steps in steps(),
        sharing in prop::sample::select(&SHARINGS[..]),
        outage in prop::sample::select(&OUTAGES[..]),
        fair: bool,
        concurrency in prop_oneof![Just(2), Just(u64::MAX)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let discipline = if fair { Discipline::Fair } else { Discipline::Fifo };
            let mut fleet = Fleet::new(quota().concurrency(concurrency), sharing, outage, discipline);
            let mut calls = Calls::default();
            for step in steps {
                match step {
                    Step::Join { flow, earlier, tokens, patience } => {
                        let acquire = fleet
                            .acquire(tokens)
                            .tenant(Tenant::new(flow.to_string()))
                            .arrived(clock::now() - earlier);
                        let acquire = match patience {
                            Some((longest, RejectKind::MaxWait)) => acquire.max_wait(longest),
                            Some((longest, _)) => acquire.deadline(Deadline::after(longest)),
                            None => acquire,
                        };
                        let mut acquire = task::spawn(acquire);
                        match acquire.poll() {
                            Poll::Pending => calls.waiting.push(Waiting {
                                acquire,
                                latest: patience.map(|(longest, kind)| (clock::now() + longest, kind)),
                            }),
                            Poll::Ready(Ok(reservation)) => calls.admitted.push(reservation),
                            Poll::Ready(Err(_)) => {}
                        }
                    }
                    Step::Leave(which) if !calls.waiting.is_empty() => {
                        calls.waiting.swap_remove(which % calls.waiting.len());
                    }
                    Step::End(which) if !calls.admitted.is_empty() => {
                        drop(calls.admitted.swap_remove(which % calls.admitted.len()));
                    }
                    Step::UsageReply(reply) => fleet.answer(reply),
                    Step::Grant { members, granted, slots } => fleet.grant(members, granted, slots),
                    Step::Away => fleet.link.went_away("as the test says"),
                    Step::Back => fleet.link.came_back(),
                    Step::Pass(time) => advance(time).await,
                    _ => {}
                }
                calls.poll_woken(outage)?;
            }

            // The store is back and answers: everybody goes, and nothing stays booked.
            fleet.link.came_back();
            for _ in 0..1_000 {
                if calls.waiting.is_empty() {
                    break;
                }
                fleet.grant(1, Fraction::WHOLE, concurrency);
                fleet.answer(BookingReply::In(Duration::ZERO));
                calls.poll_woken(outage)?;
                calls.admitted.clear();
                advance(Duration::from_millis(500)).await;
                calls.poll_woken(outage)?;
            }
            prop_assert_eq!(calls.waiting.len(), 0);
            calls.admitted.clear();
            fleet.take_ops();
            prop_assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);
            Ok::<_, TestCaseError>(())
        })?;
    }
}
