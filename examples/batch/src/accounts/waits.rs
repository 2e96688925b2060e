//! How long a call would wait at each account.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tower_qwen_ratelimit::Limiter;
use tower_qwen_tokens::{
    Call,
    call::{AccountOf, PredictWait},
};

use super::Accounts;
use crate::request::Route;

/// The first call of an account takes so long at least, as far as those know that would wait for it: most rejections come
/// within a second.
const SHORTEST_TRIAL: Duration = Duration::from_secs(1);

/// So much later than predicted a call may go before it looks for another account, and so often it looks.
const LATE: Duration = Duration::from_secs(1);

/// Admission's own prediction, and what is known of the accounts beside it.
#[derive(Debug, Clone)]
pub struct Waits {
    accounts: Accounts,
    limiter: Limiter,
}

impl Waits {
    /// Predictions for these accounts.
    #[must_use]
    pub fn new(accounts: Accounts, limiter: Limiter) -> Self {
        Self { accounts, limiter }
    }

    pub(super) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// How long a further call would wait at an account; `None` where it takes none.
    fn at(&self, index: usize, route: &Route, call: Option<&Call>) -> Option<Duration> {
        let account = self.accounts.get(index);
        let (scheme, authority) = account.base().origin().split_once("://")?;
        let name = account.name();
        self.predicted_wait(
            &AccountOf::new(scheme, authority, route.model(), name),
            call,
        )
    }

    /// Waits until a call that waits at an account had better not: the account takes no such calls any more, or is later than
    /// it was predicted, and another one is sooner. A queue does not move to another account by itself.
    pub(super) async fn leave(&self, index: usize, route: &Route, call: Option<&Call>) {
        let mut closings = self.accounts.closings(index);
        let predicted = self.at(index, route, call).unwrap_or_default();
        let ends = Instant::now() + predicted + LATE;
        while self.accounts.is_open(index, route) {
            let is_late = Instant::now() >= ends;
            if is_late && self.is_another_sooner(index, route, call) {
                return;
            }
            let next = ends.max(Instant::now() + LATE);
            // The accounts keep the sender.
            timeout_at(next, closings.changed()).await.ok();
        }
    }

    fn is_another_sooner(&self, index: usize, route: &Route, call: Option<&Call>) -> bool {
        // Here the call is one of those that the prediction counts, so it may go earlier than that.
        let here = self.at(index, route, call).unwrap_or(Duration::MAX) / 2;
        let mut others = (0..self.accounts.count()).filter(|&other| other != index);
        others.any(|other| self.at(other, route, call).is_some_and(|wait| wait < here))
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
