//! How long a call would wait at each account.

use std::time::Duration;

use tokio::time::Instant;
use tower_qwen_ratelimit::Limiter;
use tower_qwen_tokens::{
    Call,
    call::{AccountOf, PredictWait},
};

use super::Accounts;

/// The first call of an account takes so long at least, as far as those know that would wait for it: most rejections come
/// within a second.
const SHORTEST_TRIAL: Duration = Duration::from_secs(1);

/// Admission's own prediction, and what is known of the accounts beside it.
pub(super) struct Waits {
    accounts: Accounts,
    limiter: Limiter,
}

impl Waits {
    pub(super) fn new(accounts: Accounts, limiter: Limiter) -> Self {
        Self { accounts, limiter }
    }
}

impl PredictWait for Waits {
    fn predicted_wait(&self, account: &AccountOf<'_>, call: Option<&Call>) -> Option<Duration> {
        let index = self.accounts.index(account.id)?;
        if !self.accounts.serves(index, account.model) {
            return None;
        }
        let wait = self.limiter.predicted_wait(account, call)?;
        let Some(since) = self.accounts.trial(index, account.model) else {
            return Some(wait);
        };
        // What has taken so long may well take as long again.
        let trial = Instant::now().duration_since(since).max(SHORTEST_TRIAL);
        Some(wait.max(trial))
    }
}
