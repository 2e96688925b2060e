//! A retry as users write it for tower: 429 and 5xx, exponential waits, and a hint where it is there.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Sleep, sleep};
use tower::BoxError;
use tower::retry::Policy;

use super::ATTEMPTS;

/// The policy of one call.
#[derive(Debug, Clone)]
pub(super) struct Again {
    left: u32,
    wait: Duration,
    longest: Duration,
}

impl Again {
    pub(super) fn new((shortest, longest): (Duration, Duration)) -> Self {
        Self {
            left: ATTEMPTS - 1,
            wait: shortest,
            longest,
        }
    }

    /// Half to one and a half of the wait, each twice the one before.
    fn next_wait(&mut self) -> Duration {
        let wait = self.wait.mul_f64(0.5 + fastrand::f64());
        self.wait = (self.wait * 2).min(self.longest);
        wait
    }
}

impl Policy<Request<Full<Bytes>>, Response<Body>, BoxError> for Again {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<Body>, BoxError>,
    ) -> Option<Sleep> {
        let named = match result {
            Ok(response) => {
                let status = response.status();
                if status.as_u16() != 429 && !status.is_server_error() {
                    return None;
                }
                named_wait(response)
            }
            Err(_) => None,
        };
        self.left = self.left.checked_sub(1)?;
        let own = self.next_wait();
        Some(sleep(named.unwrap_or(own)))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

/// Milliseconds are OpenAI's; a second may be a large part of a shortened minute.
fn named_wait(response: &Response<Body>) -> Option<Duration> {
    let named = |name: &str| -> Option<u64> {
        let value = response.headers().get(name)?.to_str().ok()?;
        value.parse().ok()
    };
    let millis = named("retry-after-ms").map(Duration::from_millis);
    millis.or_else(|| named("retry-after").map(Duration::from_secs))
}
