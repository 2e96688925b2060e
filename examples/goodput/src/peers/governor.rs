//! governor: one limiter for requests, one for tokens.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::{Told, limited};
use crate::stack::Client;

/// Requests that may go at once, and tokens: set by hand, large enough for nearly every call.
const BURST: u64 = 60;
const TOKENS_BURST: u64 = 10;

pub(super) fn client(told: Told) -> Client {
    let requests = Arc::new(limiter(told.rpm, told.window, told.rpm / BURST));
    let most = told.tpm / TOKENS_BURST;
    let tokens = Arc::new(limiter(told.tpm, told.window, most));
    limited::client(told, move |estimated| {
        let (requests, tokens) = (requests.clone(), tokens.clone());
        async move {
            requests.until_ready().await;
            // It never lets through more than its burst.
            let _ = tokens.until_n_ready(cells(estimated.min(most))).await;
        }
    })
}

fn limiter(limit: u64, window: Duration, burst: u64) -> DefaultDirectRateLimiter {
    let each = window.div_f64(limit as f64);
    let quota = Quota::with_period(each).expect("a window is longer than nothing");
    RateLimiter::direct(quota.allow_burst(cells(burst)))
}

fn cells(amount: u64) -> NonZeroU32 {
    let amount = u32::try_from(amount).unwrap_or(u32::MAX);
    NonZeroU32::new(amount).unwrap_or(NonZeroU32::MIN)
}
