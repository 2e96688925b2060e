use std::time::Duration;

use tower_qwen_tokens::{
    Call,
    call::{AccountOf, PredictWait},
    internal::clock,
};

use super::Limiter;
use crate::{
    cost::Cost,
    key::{KeyRef, NameRef},
};

/// By the account's queue and today's rate, as [`Rejected::predicted_wait`](crate::Rejected) is, as if the
/// call came last of all that wait, also under `Discipline::Fair`. `None` where the call costs more than a window, or a
/// window of the plan is used up.
impl PredictWait for Limiter {
    fn predicted_wait(&self, account: &AccountOf<'_>, call: Option<&Call>) -> Option<Duration> {
        let origin = NameRef::Origin {
            scheme: account.scheme,
            authority: account.authority,
        };
        let key = KeyRef::new(origin, account.model).with_account(account.id);
        let cost = call.map_or(Cost::request(), Cost::of);
        self.account(key).wait_of(cost, clock::now()).ok()
    }
}
