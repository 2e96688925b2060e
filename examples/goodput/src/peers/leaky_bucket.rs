//! leaky-bucket: one limiter for requests, one for tokens.

use std::sync::Arc;
use std::time::Duration;

use leaky_bucket::RateLimiter;

use super::{Told, limited};
use crate::stack::Client;

/// Refills of a window. More would be shorter than a timer of a compressed minute.
const REFILLS: u32 = 100;
/// The part of a window's tokens that a bucket holds, so that nearly every call fits.
const TOKENS_HELD: usize = 10;

pub(super) fn client(told: Told) -> Client {
    let requests = Arc::new(limiter(told.rpm, told.window, 1));
    let tokens = Arc::new(limiter(
        told.tpm,
        told.window,
        told.tpm as usize / TOKENS_HELD,
    ));
    limited::client(told, move |estimated| {
        let (requests, tokens) = (requests.clone(), tokens.clone());
        async move {
            requests.acquire_one().await;
            tokens.acquire(estimated as usize).await;
        }
    })
}

fn limiter(limit: u64, window: Duration, held: usize) -> RateLimiter {
    let refill = (limit as f64 / f64::from(REFILLS)).round().max(1.0);
    RateLimiter::builder()
        .initial(0)
        .max(held.max(refill as usize))
        .refill(refill as usize)
        .interval(window.mul_f64(refill / limit as f64))
        .build()
}
