//! A link in the hands of the test, without a driver.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tower_qwen_tokens::{
    clock::{self, WallClock},
    ledger::Day,
};

use super::{Answer, CallId, Handle, Link, Op, Outage, Sharing, Terms, Work};
use crate::{
    account::{Account, Manner},
    key::Key,
    observe::{Event, Observers},
    queue::Discipline,
    quota::Quota,
};

const CAPACITY: usize = 4;

struct Calls {
    link: Arc<Link>,
    account: Arc<Account>,
    _handle: Handle,
}

impl Calls {
    fn new() -> Self {
        let link = Link::new(Terms {
            sharing: Sharing::Booking,
            outage: Outage::LocalShare,
            timeout: Duration::from_secs(10),
            capacity: CAPACITY,
        });
        let handle = Handle::new(link.clone());
        let manner = Manner {
            max_queued: 100,
            discipline: Discipline::FirstCome,
            observers: Observers::default(),
            fleet: Some(handle.clone()),
        };
        let (key, quota) = (Key::new("http://host", "model"), Quota::per_minute(60, 600));
        let now = clock::now();
        let calls = Self {
            account: Account::in_fleet(&handle, key, quota, manner, now, now),
            link,
            _handle: handle,
        };
        assert!(matches!(calls.work(), Some(Work::Accounts)));
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
            input: u64::from(is_sent),
            output: 0,
            counts: is_sent,
        });
    }

    fn work(&self) -> Option<Work> {
        match self
            .link
            .poll_work(&mut Context::from_waker(Waker::noop()), true)
        {
            Poll::Ready(work) => Some(work),
            Poll::Pending => None,
        }
    }

    fn taken(&self) -> Vec<Op> {
        match self.work() {
            Some(Work::Ops(ops)) => ops,
            _ => Vec::new(),
        }
    }

    fn is_flushed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.link
            .poll_flushed(self.link.pushed(), &mut cx)
            .is_ready()
    }
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_given_up_before_it_is_taken_is_forgotten() {
    let calls = Calls::new();
    // More by far than may wait.
    for id in 1..1_000 {
        calls.book(id);
        assert!(!calls.is_flushed());
        calls.settle(id, false);
        assert!(calls.is_flushed());
    }
    assert!(calls.taken().is_empty());
    assert_eq!(calls.link.counts().dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_was_taken_is_given_back() {
    let calls = Calls::new();
    calls.book(1);
    calls.book(2);
    assert_eq!(calls.taken().len(), 2);
    calls.book(3);
    calls.settle(1, false);
    // It has been sent, which is no giving back.
    calls.settle(3, true);
    let taken = calls.taken();
    assert!(matches!(
        taken[..],
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
    assert_eq!(calls.link.counts().dropped, 6);
    assert_eq!(calls.taken().len(), CAPACITY + 1);
}

#[tokio::test(start_paused = true)]
async fn observers_are_told_as_long_as_their_limiter_lives() {
    let calls = Calls::new();
    let outages = Arc::new(AtomicUsize::new(0));
    let observers = || {
        let outages = outages.clone();
        let mut observers = Observers::default();
        observers.add(move |_: &Event<'_>| {
            outages.fetch_add(1, Ordering::Relaxed);
        });
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
    let ask = || {
        let answer = Answer::default();
        let question = answer.question();
        calls.link.push(Op::ReadUsage { day, question });
        answer
    };
    let before = ask();
    assert!(before.poll(&mut cx).is_pending());
    calls.settle(1, true);
    calls.link.went_away("lost");
    // As it is away already when this one comes.
    for answer in [before, ask()] {
        assert_eq!(answer.poll(&mut cx), Poll::Ready(None));
    }
    assert_eq!(calls.taken().len(), 1, "what was used is told later");
    calls.link.done(1);
    assert!(calls.is_flushed());
}
