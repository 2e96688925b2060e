//! What one admission costs while others wait: a call joins, room comes, the head learns it and goes.
//!
//! `cargo bench -p tower-qwen-ratelimit --bench queue`
//!
//! Through the public API and with time stopped, so that the figures hold the gates' arithmetic, the head's timer and
//! three wakes besides the queue.
#![allow(missing_docs)]

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tower_qwen_ratelimit::{
    Acquire, Cost, Discipline, Key, Limiter, OutputLimit, Pacing, Quota, RejectKind, Reservation,
};
use tower_qwen_tokens::{
    internal::clock::{self, Instant},
    ledger::Tenant,
};

/// The whole quota of a window: one call fits in at a time.
const TOKENS: u64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    discipline: Discipline,
    flows: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "first-come",
        discipline: Discipline::Fifo,
        flows: 1,
    },
    Case {
        name: "fair, 1 flow",
        discipline: Discipline::Fair,
        flows: 1,
    },
    Case {
        name: "fair, 10 flows",
        discipline: Discipline::Fair,
        flows: 10,
    },
    Case {
        name: "fair, 1000 flows",
        discipline: Discipline::Fair,
        flows: 1_000,
    },
];

/// Who has been woken.
#[derive(Debug, Default)]
struct Woken(Mutex<Vec<usize>>);

#[derive(Debug)]
struct Wakes {
    index: usize,
    woken: Arc<Woken>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let mut woken = self.woken.0.lock().unwrap_or_else(PoisonError::into_inner);
        woken.push(self.index);
    }
}

/// An account with always so many calls waiting.
struct Crowd {
    limiter: Limiter,
    key: Key,
    tenants: Vec<Tenant>,
    arrived: Instant,
    waiting: Vec<Option<Pin<Box<Acquire>>>>,
    wakers: Vec<Waker>,
    woken: Arc<Woken>,
    free: Vec<usize>,
    held: Reservation,
    joined: usize,
}

impl Crowd {
    fn new(case: Case, waiters: usize) -> Self {
        let quota = Quota::per_minute(1 << 40, TOKENS)
            .headroom(0)
            .pacing(Pacing::Window);
        let limiter = Limiter::builder(quota)
            .discipline(case.discipline)
            .build()
            .expect("a limiter");
        let key = Key::new("https://host", "qwen-plus");
        let held = limiter.acquire(&key, Cost::new(TOKENS, OutputLimit::NoOutput));
        let Poll::Ready(Ok(held)) = Box::pin(held)
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("the first call goes at once");
        };
        let woken = Arc::new(Woken::default());
        let wakes = |index| {
            let woken = woken.clone();
            Waker::from(Arc::new(Wakes { index, woken }))
        };
        let mut crowd = Self {
            limiter,
            key,
            tenants: (0..case.flows)
                .map(|n| Tenant::new(n.to_string()))
                .collect(),
            arrived: clock::now(),
            waiting: (0..=waiters).map(|_| None).collect(),
            wakers: (0..=waiters).map(wakes).collect(),
            woken,
            free: (0..=waiters).rev().collect(),
            held,
            joined: 0,
        };
        for _ in 0..waiters {
            crowd.join();
        }
        crowd
    }

    fn acquire(&mut self) -> Acquire {
        self.joined += 1;
        self.arrived += Duration::from_nanos(1);
        self.limiter
            .acquire(&self.key, Cost::new(TOKENS, OutputLimit::NoOutput))
            .tenant(self.tenants[self.joined % self.tenants.len()].clone())
            .arrived(self.arrived)
    }

    fn join(&mut self) -> usize {
        let acquire = self.acquire();
        self.join_as(acquire)
    }

    fn join_as(&mut self, acquire: Acquire) -> usize {
        let index = self.free.pop().expect("a free place");
        self.waiting[index] = Some(Box::pin(acquire));
        assert!(!self.poll(index));
        index
    }

    fn leave(&mut self, index: usize) {
        self.waiting[index] = None;
        self.free.push(index);
    }

    /// Polls a waiter; says whether it has been admitted.
    fn poll(&mut self, index: usize) -> bool {
        let Some(acquire) = &mut self.waiting[index] else {
            return false;
        };
        let mut context = Context::from_waker(&self.wakers[index]);
        match acquire.as_mut().poll(&mut context) {
            Poll::Pending => false,
            Poll::Ready(reservation) => {
                self.held = reservation.expect("room");
                self.held.mark_sent();
                self.leave(index);
                true
            }
        }
    }

    fn admit(&mut self) {
        self.join();
        self.held.settle(0, 0);
        let mut admitted = 0;
        loop {
            let woken = {
                let mut woken = self.woken.0.lock().unwrap_or_else(PoisonError::into_inner);
                woken.pop()
            };
            match woken {
                Some(index) => admitted += usize::from(self.poll(index)),
                None => break,
            }
        }
        assert_eq!(admitted, 1);
    }

    fn reject(&mut self) {
        let acquire = self.acquire().max_wait(Duration::ZERO);
        let mut acquire = std::pin::pin!(acquire);
        match acquire
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(Err(rejected)) => assert_eq!(rejected.kind(), RejectKind::MaxWait),
            _ => panic!("no room at once"),
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

fn queue(criterion: &mut Criterion) {
    let runtime = runtime();
    let _inside = runtime.enter();
    for case in CASES {
        for (what, run) in [
            ("admission", Crowd::admit as fn(&mut Crowd)),
            ("rejection with its predicted wait", Crowd::reject),
            ("join and leave", |crowd| {
                let index = crowd.join();
                crowd.leave(index);
            }),
            ("join in first place and leave", |crowd| {
                let acquire = crowd.acquire();
                let first = clock::now() - Duration::from_secs(1);
                let index = crowd.join_as(acquire.arrived(first));
                crowd.leave(index);
            }),
        ] {
            let mut group = criterion.benchmark_group(format!("{}/{what}", case.name));
            for waiters in [100, 10_000, 100_000] {
                let mut crowd = Crowd::new(case, waiters);
                let id = BenchmarkId::from_parameter(waiters);
                group.bench_function(id, |bencher| bencher.iter(|| run(&mut crowd)));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = queue
}
criterion_main!(benches);
