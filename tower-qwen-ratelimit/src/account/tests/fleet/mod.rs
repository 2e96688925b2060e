//! An account that a fleet shares, and a store in the hands of the test.

mod beliefs;
mod bound;
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
    account::{Account, AccountConfig},
    acquire::Acquire,
    adapt::Beliefs,
    cost::{Cost, OutputLimit},
    error::RejectKind,
    fleet::{
        BookingReply, CallId, Handle, HeartbeatReply, Linger, Link, Op, SharedAccount, Terms, Used,
        Work,
    },
    key::{FleetSalt, Key},
    observe::Observers,
    queue::{DEFAULT_AGEING, Discipline, Priority},
    quota::Quota,
    sharing::{OutagePolicy, Sharing},
    units::Fraction,
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
    /// What the head has asked to be booked last.
    requested: Option<CallId>,
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
            processes: 1,
            salt: FleetSalt::new("", b""),
        });
        let handle = Handle::new(link.clone());
        let config = AccountConfig {
            max_queued: 100,
            discipline,
            ageing: DEFAULT_AGEING,
            observers: Observers::default(),
            plan_probe_interval: None,
        };
        let now = clock::now();
        let key = Key::new("http://host", "model");
        Self {
            account: Account::in_fleet(&handle, key, quota, config, now, now),
            link,
            requested: None,
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

    /// Takes what the account has reported the store.
    fn take_ops(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(work) = self.link.poll_work(&mut cx, Linger::Over) {
            let ops = match work {
                Work::Ops(ops) => ops,
                Work::Heartbeats => {
                    self.beats += 1;
                    continue;
                }
                Work::Leases => continue,
                Work::End => break,
            };
            for op in ops.ops {
                match op {
                    Op::Book { id, .. } => {
                        self.requested = Some(id);
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
    fn answer(&mut self, reply: BookingReply) {
        self.take_ops();
        if let Some(id) = self.requested.take() {
            if !matches!(reply, BookingReply::In(_)) {
                self.booked.remove(&id);
            }
            self.account.on_booking(id, reply);
        }
    }

    fn grant(&self, members: u64, granted: Fraction, slots: u64) {
        self.reply(heartbeat_reply(members, granted, slots));
    }

    fn reply(&self, reply: HeartbeatReply) {
        self.account
            .on_heartbeat(reply, clock::now(), Duration::from_secs(3));
    }
}

fn heartbeat_reply(members: u64, granted: Fraction, slots: u64) -> HeartbeatReply {
    HeartbeatReply {
        members,
        busy: members,
        granted,
        closed_for: Duration::ZERO,
        beliefs: Beliefs::NOTHING,
        slots,
        booked_ahead: Duration::ZERO,
        largest_call: 0,
        others: Used::default(),
        is_used: (false, false),
        is_new: true,
        formats: None,
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
            let rejected = assert_ready_err!(early.poll());
            assert_eq!(rejected.kind(), RejectKind::Deadline);
            let silent = 2 * Duration::from_secs(10);
            assert_eq!(rejected.predicted_wait(), Some(silent - 601 * TICK));
            advance(300 * TICK).await;
            assert!(late.is_woken(), "{sharing:?} {outage:?}");
            let rejected = assert_ready_err!(late.poll());
            assert_eq!(rejected.kind(), RejectKind::MaxWait);
            assert!(!head.is_woken() && !patient.is_woken());
            assert_eq!(fleet.account.snapshot(clock::now()).queued, 2);

            drop(head);
            assert!(patient.is_woken(), "the next waiter is polled");
            assert_pending!(patient.poll());
            drop(patient);
            fleet.take_ops();
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
    fleet.take_ops();
    assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);

    let mut at_once = task::spawn(fleet.acquire(10).max_wait(Duration::ZERO));
    assert_ready_err!(at_once.poll());
    fleet.take_ops();
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
    for too_late in [
        BookingReply::TooLate(Duration::from_secs(30)),
        BookingReply::Never,
    ] {
        let mut large = task::spawn(fleet.acquire(30_000).max_wait(Duration::from_secs(9)));
        let mut small = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(9)));
        assert_pending!(large.poll());
        assert_pending!(small.poll());
        fleet.answer(too_late);
        assert_ready_err!(large.poll());
        assert_pending!(small.poll());
        fleet.answer(BookingReply::In(Duration::ZERO));
        drop(assert_ready_ok!(small.poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_to_end_does_so_until_its_deadline() {
    for sharing in SHARINGS {
        let quota = quota().concurrency(1);
        let mut fleet = Fleet::new(quota, sharing, OutagePolicy::Unlimited, Discipline::Fifo);
        advance(Duration::from_secs(2)).await;
        fleet.grant(1, Fraction::WHOLE, 1);
        let mut first = task::spawn(fleet.acquire(10));
        let first = match first.poll() {
            // Leased: the process decides by itself.
            Poll::Ready(first) => first.unwrap(),
            Poll::Pending => {
                fleet.answer(BookingReply::In(Duration::ZERO));
                assert_ready_ok!(first.poll())
            }
        };
        let mut second = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(5)));
        let mut third = task::spawn(fleet.acquire(10).max_wait(Duration::from_secs(1)));
        assert_pending!(second.poll());
        assert_pending!(third.poll());
        fleet.answer(BookingReply::In(Duration::ZERO));
        assert_pending!(second.poll(), "{sharing:?}");
        advance(Duration::from_secs(1) + TICK).await;
        assert_ready_err!(third.poll());
        drop(first);
        drop(assert_ready_ok!(second.poll()));
    }
}

/// Who comes later in a higher class goes first, with what the store has booked for the head before.
#[tokio::test(start_paused = true)]
async fn a_booking_goes_to_the_higher_class() {
    let outage = OutagePolicy::Unlimited;
    let mut fleet = Fleet::new(quota(), Sharing::Booking, outage, Discipline::Fifo);
    let mut low = task::spawn(fleet.acquire(100).priority(Priority::Low));
    assert_pending!(low.poll());
    fleet.answer(BookingReply::In(Duration::from_secs(1)));
    assert_pending!(low.poll());
    let mut high = task::spawn(fleet.acquire(10).priority(Priority::High));
    assert_pending!(high.poll());
    assert!(low.is_woken(), "it is the head no longer");
    assert_pending!(low.poll());
    // One that needs more tokens gets a booking of its own, and gives the other one back.
    let mut larger = task::spawn(fleet.acquire(1_000).priority(Priority::High));
    assert_pending!(larger.poll());
    advance(Duration::from_secs(1)).await;
    drop(assert_ready_ok!(high.poll()));
    assert!(larger.is_woken() && !low.is_woken());
    assert_pending!(larger.poll());
    fleet.answer(BookingReply::In(Duration::ZERO));
    drop(assert_ready_ok!(larger.poll()));
    assert_pending!(low.poll());
    fleet.answer(BookingReply::In(Duration::ZERO));
    drop(assert_ready_ok!(low.poll()));
    fleet.take_ops();
    assert!(fleet.booked.is_empty(), "{:?}", fleet.booked);
}
