//! What the benches compare.
#![allow(dead_code, reason = "each bench takes some of it")]

use std::{
    future::Future,
    num::NonZeroU32,
    pin::pin,
    task::{Context, Poll, Waker},
};

use governor::{
    RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::keyed::DashMapStateStore,
};
use tower_qwen_ratelimit::{Cost, Discipline, Key, Limiter, OutputLimit, Quota};

/// Tokens that the other limiters take; governor lets one go per nanosecond at most.
pub(crate) const TOKENS: NonZeroU32 = NonZeroU32::new(15).expect("not nothing");
pub(crate) const KEYS: usize = 100_000;

pub(crate) fn keys(count: usize) -> Vec<Key> {
    // Not in the order of their making, so that neighbours in memory are not used one after the other.
    (0..count)
        .map(|n| n * 7_919 % count)
        .map(|n| Key::new("https://host", &format!("model-{n}")))
        .collect()
}

/// Goes round and round.
pub(crate) fn next(at: &mut usize, len: usize) -> usize {
    *at = if *at + 1 < len { *at + 1 } else { 0 };
    *at
}

type Keyed<C> = RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// governor's two dimensions of one key.
pub(crate) struct Governor<C: Clock> {
    requests: Keyed<C>,
    tokens: Keyed<C>,
}

impl<C: Clock + Clone> Governor<C> {
    pub(crate) fn new(clock: &C, keys: &[Key]) -> Self {
        let most = governor::Quota::per_second(NonZeroU32::MAX);
        let limiter = || RateLimiter::new(most, DashMapStateStore::default(), clock.clone());
        let governor = Self {
            requests: limiter(),
            tokens: limiter(),
        };
        for key in keys {
            governor.check(key);
        }
        governor
    }

    pub(crate) fn check(&self, key: &Key) -> bool {
        let request = self.requests.check_key_n(key, NonZeroU32::MIN);
        let tokens = self.tokens.check_key_n(key, TOKENS);
        matches!(request, Ok(Ok(()))) && matches!(tokens, Ok(Ok(())))
    }
}

pub(crate) fn limiter(keys: &[Key], discipline: Discipline) -> Limiter {
    let limiter = Limiter::builder(Quota::per_minute(1 << 40, 1 << 50))
        .max_keys(2 * KEYS)
        .discipline(discipline)
        .build()
        .expect("a limiter");
    for key in keys {
        drop(limiter.try_acquire(key, Cost::request()));
    }
    // Buckets begin empty.
    while limiter.try_acquire(&keys[0], cost()).is_err() {}
    limiter
}

pub(crate) fn cost() -> Cost {
    Cost::new(1_000, OutputLimit::AtMost(500))
}

/// Reserved, sent, settled, dropped.
pub(crate) fn acquire(limiter: &Limiter, key: &Key) {
    let acquire = pin!(limiter.acquire(key, cost()));
    let Poll::Ready(Ok(reservation)) = acquire.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("there is room");
    };
    reservation.mark_sent();
    reservation.settle(980, 212);
}

pub(crate) fn try_acquire(limiter: &Limiter, key: &Key) {
    let reservation = limiter.try_acquire(key, cost()).expect("room");
    reservation.mark_sent();
    reservation.settle(980, 212);
}

pub(crate) fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("ready at once"),
    }
}
