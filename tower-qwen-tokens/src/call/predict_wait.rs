use std::time::Duration;

use super::Call;

/// Predicts how long a call would wait for quota. A limiter does; a pool of targets chooses by it.
///
/// # Examples
///
/// A predictor for tests, or for quotas that something else counts:
///
/// ```
/// use std::time::Duration;
///
/// use tower_qwen_tokens::call::{AccountOf, Call, PredictWait};
///
/// struct Fixed;
///
/// impl PredictWait for Fixed {
///     fn predicted_wait(&self, account: &AccountOf<'_>, _: Option<&Call>) -> Option<Duration> {
///         (account.id != "closed").then_some(Duration::ZERO)
///     }
/// }
/// ```
pub trait PredictWait: Send + Sync {
    /// How long the call would wait at this account, as far as is known now; zero if it would go
    /// at once. `None` if it would be rejected however long it waited.
    ///
    /// Called on the path of every call of a pool, once for each target: it must neither block nor
    /// panic. Nothing is reserved, so two calls may get the same answer.
    fn predicted_wait(&self, account: &AccountOf<'_>, call: Option<&Call>) -> Option<Duration>;
}

/// What names the account that a request is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountOf<'a> {
    /// The scheme of the request's URI; empty if it has none.
    pub scheme: &'a str,
    /// The host, with its port if one is given.
    pub authority: &'a str,
    /// The model; empty if the call names none.
    pub model: &'a str,
    /// The name of the [`AccountId`](super::AccountId); empty if there is none.
    pub id: &'a str,
}

impl<'a> AccountOf<'a> {
    /// The account of these parts.
    #[must_use]
    pub fn new(scheme: &'a str, authority: &'a str, model: &'a str, id: &'a str) -> Self {
        Self {
            scheme,
            authority,
            model,
            id,
        }
    }
}
