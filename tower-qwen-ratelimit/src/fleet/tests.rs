//! A link in the hands of the test, without a driver.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tower_qwen_tokens::{
    internal::clock::{self, Instant, WallClock},
    ledger::Day,
};

use super::{
    BookingReply, CallId, FlushProgress, Handle, Heartbeat, HeartbeatReply, Linger, Link, Op,
    OpBatch, SharedAccount, Terms, Work, usage::UsageSums,
};
use crate::{
    key::{FleetSalt, Key},
    observe::{LimiterEvent, Observers},
    quota::Quota,
    sharing::{OutagePolicy, Sharing},
};

const CAPACITY: usize = 4;

/// An account that does not care.
#[derive(Debug)]
struct FakeAccount(Key);

impl SharedAccount for FakeAccount {
    fn key(&self) -> &Key {
        &self.0
    }

    fn quota(&self) -> Quota {
        Quota::per_minute(60, 600)
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        None
    }

    fn on_heartbeat(&self, _: HeartbeatReply, _: Instant, _: Duration) {}

    fn on_booking(&self, _: CallId, _: BookingReply) {}

    fn on_store_away(&self) {}

    fn on_store_back(&self) {}

    fn on_rejection(&self, _: &str) {}

    fn on_acceptance(&self) {}

    fn is_rejected(&self) -> bool {
        false
    }
}

struct Calls {
    link: Arc<Link>,
    account: Arc<FakeAccount>,
    _handle: Handle,
}

impl Calls {
    fn new() -> Self {
        let link = Link::new(Terms {
            sharing: Sharing::Booking,
            outage: OutagePolicy::LocalShare,
            timeout: Duration::from_secs(10),
            capacity: CAPACITY,
            processes: 1,
            salt: FleetSalt::new("", b""),
        });
        let handle = Handle::new(link.clone());
        let account = Arc::new(FakeAccount(Key::new("http://host", "model")));
        let weak: Weak<FakeAccount> = Arc::downgrade(&account);
        link.add_account(weak);
        let calls = Self {
            account,
            link,
            _handle: handle,
        };
        assert!(matches!(calls.work(), Some(Work::Heartbeats)));
        calls
    }

    fn book(&self, id: CallId) {
        self.link.push(Op::Book {
            account: self.account.clone(),
            id,
            input: 1,
            output: 0,
            latest: None,
        });
    }

    fn settle(&self, id: CallId, is_sent: bool) {
        self.link.push(Op::Settle {
            account: self.account.clone(),
            id,
            charged_at: clock::now(),
            ended_at: clock::now(),
            input: u64::from(is_sent),
            output: 0,
            counts: is_sent,
        });
    }

    fn work(&self) -> Option<Work> {
        match self
            .link
            .poll_work(&mut Context::from_waker(Waker::noop()), Linger::Over)
        {
            Poll::Ready(work) => Some(work),
            Poll::Pending => None,
        }
    }

    fn taken(&self) -> OpBatch {
        match self.work() {
            Some(Work::Ops(taken)) => taken,
            _ => OpBatch::default(),
        }
    }

    fn is_flushed(&self, flush: &mut FlushProgress) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.link.poll_flush(flush, &mut cx).is_ready()
    }
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_given_up_before_it_is_taken_is_forgotten() {
    let calls = Calls::new();
    // More by far than may wait.
    for id in 1..1_000 {
        calls.book(id);
        let mut flush = calls.link.begin_flush();
        assert!(!calls.is_flushed(&mut flush));
        calls.settle(id, false);
        assert!(calls.is_flushed(&mut flush));
    }
    assert!(calls.taken().ops.is_empty());
    assert_eq!(calls.link.snapshot().dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_was_taken_is_given_back() {
    let calls = Calls::new();
    calls.book(1);
    calls.book(2);
    assert_eq!(calls.taken().ops.len(), 2);
    calls.book(3);
    calls.settle(1, false);
    // It has been sent, which is no giving back.
    calls.settle(3, true);
    let taken = calls.taken();
    assert!(matches!(
        taken.ops[..],
        [
            Op::Book { id: 3, .. },
            Op::Settle { id: 1, .. },
            Op::Settle { id: 3, .. }
        ]
    ));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_settlements_but_no_booking() {
    let calls = Calls::new();
    for id in 1..=10 {
        calls.settle(id, true);
    }
    calls.book(11);
    assert_eq!(calls.link.snapshot().dropped, 6);
    assert_eq!(calls.taken().ops.len(), CAPACITY + 1);
}

#[tokio::test(start_paused = true)]
async fn observers_are_reported_as_long_as_their_limiter_lives() {
    let calls = Calls::new();
    let outages = Arc::new(AtomicUsize::new(0));
    let observers = || {
        let outages = outages.clone();
        let mut observers = Observers::default();
        observers.push(Arc::new(move |_: &LimiterEvent<'_>| {
            outages.fetch_add(1, Ordering::Relaxed);
        }));
        calls.link.observe(&observers);
        observers
    };
    for _ in 0..10 {
        drop(observers());
    }
    let _alive = observers();
    assert_eq!(Arc::strong_count(&outages), 2, "the test's, and one");
    calls.link.went_away("lost");
    assert_eq!(outages.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_with_the_connection() {
    let calls = Calls::new();
    let day = Day::of(WallClock::new().now());
    let mut cx = Context::from_waker(Waker::noop());
    let query_usage = || {
        let (query, answer) = oneshot::channel();
        calls.link.push(Op::ReadUsage { day, query });
        answer
    };
    let mut before = query_usage();
    assert!(before.poll_unpin(&mut cx).is_pending());
    calls.settle(1, true);
    calls.link.went_away("lost");
    // As it is away already when this one comes.
    for mut answer in [before, query_usage()] {
        assert!(matches!(answer.poll_unpin(&mut cx), Poll::Ready(Err(_))));
    }
    let mut flush = calls.link.begin_flush();
    let taken = calls.taken();
    assert_eq!(taken.ops.len(), 1, "what was used is reported later");
    calls.link.done(taken.epoch, 1);
    assert!(calls.is_flushed(&mut flush));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_its_own_and_no_other() {
    let calls = Calls::new();
    let mut nothing = calls.link.begin_flush();
    assert!(calls.is_flushed(&mut nothing));
    calls.settle(1, true);
    let first = calls.taken();
    let mut flush = calls.link.begin_flush();
    assert!(calls.is_flushed(&mut nothing));
    calls.settle(2, true);
    calls.settle(3, true);
    let later = calls.taken();
    // Another node is faster.
    calls.link.done(later.epoch, 2);
    assert!(!calls.is_flushed(&mut flush));
    // The connection is lost: it goes again, first.
    calls.settle(4, true);
    calls.link.return_batch(first);
    let mut all = calls.link.begin_flush();
    let again = calls.taken();
    assert!(matches!(again.ops[..], [Op::Settle { id: 1, .. }]));
    calls.link.done(again.epoch, 1);
    assert!(calls.is_flushed(&mut flush));
    assert!(!calls.is_flushed(&mut all));
    let last = calls.taken();
    calls.link.done(last.epoch, 1);
    assert!(calls.is_flushed(&mut all));
}

#[tokio::test(start_paused = true)]
async fn a_flush_in_an_outage_keeps_one_waker_and_no_more_than_may_wait() {
    struct Woken;
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {}
    }
    let calls = Calls::new();
    let woken = Arc::new(Woken);
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    calls.link.went_away("lost");
    let day = Day::of(WallClock::new().now());
    let mut flushes = Vec::new();
    for _ in 0..100 {
        let one = UsageSums {
            calls: 1,
            ..UsageSums::default()
        };
        calls.link.add_usage(day, "acme", "qwen-plus", one);
        let mut flush = calls.link.begin_flush();
        assert!(calls.link.poll_flush(&mut flush, &mut cx).is_pending());
        flushes.push(flush);
    }
    // Of the test: the Arc and the waker. The link's own.
    assert!(Arc::strong_count(&woken) <= 4);

    let mut reported = 0;
    loop {
        let taken = calls.taken();
        assert!(taken.ops.len() <= CAPACITY);
        for op in &taken.ops {
            let Op::AddUsage(batch) = op else {
                panic!("{op:?}");
            };
            reported += batch.sums.values().map(|sums| sums.calls).sum::<u64>();
        }
        calls.link.done(taken.epoch, taken.ops.len());
        let last = flushes.last_mut().unwrap();
        if calls.link.poll_flush(last, &mut cx).is_ready() {
            break;
        }
    }
    assert_eq!(reported, 100);
}
