//! An account that a fleet shares, and a store in the hands of the test.

mod law;
mod outage;
mod predict;
mod slots;

use std::{
    collections::BTreeSet,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_qwen_tokens::{Deadline, internal::clock};

use crate::{
    account::{Account, Manner},
    acquire::Acquire,
    adapt::FULL,
    cost::{Cost, OutputLimit},
    error::RejectKind,
    fleet::{Booked, CallId, Handle, Heard, Link, Op, OutagePolicy, Sharing, Terms, Work},
    key::Key,
    observe::Observers,
    queue::Discipline,
    quota::Quota,
};

const TICK: Duration = Duration::from_millis(1);
const SHARINGS: [Sharing; 2] = [Sharing::Booking, Sharing::Lease];
const OUTAGES: [OutagePolicy; 3] = [
    OutagePolicy::LocalShare,
    OutagePolicy::Unlimited,
    OutagePolicy::Reject,
];

struct Fleet {
    link: Arc<Link>,
    account: Arc<Account>,
    /// What the head has asked for last.
    asked: Option<CallId>,
    /// Booked so far and not given back.
    booked: BTreeSet<CallId>,
    /// How often heartbeats were wanted at once.
    beats: usize,
    _handle: Handle,
}

impl Fleet {
    fn new(quota: Quota, sharing: Sharing, outage: OutagePolicy, discipline: Discipline) -> Self {
        let link = Link::new(Terms {
            sharing,
            outage,
            timeout: Duration::from_secs(10),
            capacity: 1_000,
        });
        let handle = Handle::new(link.clone());
        let manner = Manner {
            max_queued: 100,
            discipline,
            observers: Observers::default(),
            fleet: Some(handle.clone()),
        };
        let now = clock::now();
        let key = Key::new("http://host", "model");
        Self {
            account: Account::in_fleet(&handle, key, quota, manner, now, now),
            link,
            asked: None,
            booked: BTreeSet::new(),
            beats: 0,
            _handle: handle,
        }
    }

    fn acquire(&self, tokens: u64) -> Acquire {
        Acquire::new(
            self.account.clone(),
            Cost::new(tokens, OutputLimit::NoOutput),
        )
    }

    /// Takes what the account has told the store.
    fn listen(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(work) = self.link.poll_work(&mut cx, true) {
            let ops = match work {
                Work::Ops(ops) => ops,
                Work::Accounts => {
                    self.beats += 1;
                    continue;
                }
                Work::End => break,
            };
            for op in ops {
                match op {
                    Op::Book { id, .. } => {
                        self.asked = Some(id);
                        self.booked.insert(id);
                    }
                    Op::Settle { id, counts, .. } if !counts => {
                        self.booked.remove(&id);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The store answers what was asked last, if anything was.
    fn answer(&mut self, reply: Booked) {
        self.listen();
        if let Some(id) = self.asked.take() {
            if !matches!(reply, Booked::In(_)) {
                self.booked.remove(&id);
            }
            self.account.booked(id, reply);
        }
    }

    fn hear(&self, members: u64, granted: u32, slots: u64) {
        self.hear_all(heard(members, granted, slots));
    }

    fn hear_all(&self, heard: Heard) {
        self.account
            .heard(heard, clock::now(), Duration::from_secs(3));
    }
}

fn heard(members: u64, granted: u32, slots: u64) -> Heard {
    Heard {
        members,
        busy: members,
        granted,
        closed_for: Duration::ZERO,
        shares: (FULL, FULL),
        slots,
        booked_ahead: Duration::ZERO,
        largest: 0,
    }
}

/// Ten calls in a second.
fn quota() -> Quota {
    Quota::per_minute(600, 600_000)
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_holds_nobody_beyond_its_deadline() {
    for sharing in SHARINGS {
        for outage in OUTAGES {
            let mut fleet = Fleet::new(quota(), sharing, outage, Discipline::Fifo);
            let soon = Deadline::after(600 * TICK);
            let mut head = task::spawn(fleet.acquire(10));
            let mut late = task::spawn(fleet.acquire(10).max_wait(900 * TICK));
            let mut early = task::spawn(fleet.acquire(10).deadline(soon));
            let mut patient = task::spawn(fleet.acquire(10));
            assert_pending!(head.poll());
            assert_pending!(late.poll());
            assert_pending!(early.poll());
            assert_pending!(patient.poll());
            advance(599 * TICK).await;
            assert!(!early.is_woken() && !late.is_woken(), "{sharing:?}");
            advance(2 * TICK).await;
            assert!(early.is_woken(), "{sharing:?} {outage:?}");
            let refused = assert_ready_err!(early.poll());
            assert_eq!(refused.kind(), RejectKind::Deadline);
            let silent = 2 * Duration::from_secs(10);
            assert_eq!(refused.predicted_wait(), Some(silent - 601 * TICK));
            advance(300 * TICK).await;
            assert!(late.is_woken(), "{sharing:?} {outage:?}");
            let refused = assert_ready_err!(late.poll());
            assert_eq!(refused.kind(), RejectKind::MaxWait);
            assert!(!head.is_woken() && !patient.is_woken());
            assert_eq!(fleet.account.snapshot(clock::now()).queued, 2);

            drop(head);
            assert!(patient.is_woken(), "who is next looks");
            assert_pending!(patient.poll());
            drop(patient);
            fleet.listen();
            assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_refused_gives_its_booking_up() {
    let mut fleet = Fleet::new(
        quota(),
        Sharing::Booking,
        OutagePolicy::Unlimited,
        Discipline::Fifo,
    );
    let mut alone = task::spawn(fleet.acquire(10).max_wait(50 * TICK));
    assert_pending!(alone.poll());
    advance(51 * TICK).await;
    assert_ready_err!(alone.poll());
    fleet.listen();
    assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);

    let mut at_once = task::spawn(fleet.acquire(10).max_wait(Duration::ZERO));
    assert_ready_err!(at_once.poll());
    fleet.listen();
    assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_late_for_one_may_be_in_time_for_the_next() {
    let mut fleet = Fleet::new(
        quota(),
        Sharing::Booking,
        OutagePolicy::Unlimited,
        Discipline::Fifo,
    );
    for too_late in [Booked::TooLate(Duration::from_secs(30)), Booked::Never] {
        let mut large = task::spawn(fleet.acquire(30_000).max_wait(Duration::from_secs(9)));
        let mut small = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(9)));
        assert_pending!(large.poll());
        assert_pending!(small.poll());
        fleet.answer(too_late);
        assert_ready_err!(large.poll());
        assert_pending!(small.poll());
        fleet.answer(Booked::In(Duration::ZERO));
        drop(assert_ready_ok!(small.poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_to_end_does_so_until_its_deadline() {
    for sharing in SHARINGS {
        let quota = quota().concurrency(1);
        let mut fleet = Fleet::new(quota, sharing, OutagePolicy::Unlimited, Discipline::Fifo);
        advance(Duration::from_secs(2)).await;
        fleet.hear(1, FULL, 1);
        let mut first = task::spawn(fleet.acquire(10));
        let _ = first.poll();
        fleet.answer(Booked::In(Duration::ZERO));
        let first = assert_ready_ok!(first.poll());
        let mut second = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(5)));
        let mut third = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(1)));
        assert_pending!(second.poll());
        assert_pending!(third.poll());
        fleet.answer(Booked::In(Duration::ZERO));
        assert_pending!(second.poll(), "{sharing:?}");
        advance(Duration::from_secs(1) + TICK).await;
        assert_ready_err!(third.poll());
        drop(first);
        drop(assert_ready_ok!(second.poll()));
    }
}
