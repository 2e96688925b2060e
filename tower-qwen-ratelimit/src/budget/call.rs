use std::sync::Arc;

use http::{Method, Request};
use tower_qwen_tokens::{AccountId, Call, Dialect, price::is_batch_host};

use super::{learned::CallerId, need::Need};
use crate::cost::Cost;

/// A model call, as budgets see it.
#[derive(Debug, Clone)]
pub(crate) struct BudgetCall {
    /// Empty where the request was not read.
    pub(super) model: Arc<str>,
    pub(super) cost: Cost,
    /// How many answers it wants, at least 1.
    pub(super) answers: u64,
    /// Whether the provider bills it as batch.
    pub(super) is_batch: bool,
    /// The provider's account that pays for it, where the request names one.
    pub(super) account: Option<AccountId>,
}

/// What a reservation is for.
#[derive(Debug, Clone)]
pub(super) struct BudgetedCall {
    pub(super) caller: CallerId,
    pub(super) model: Arc<str>,
    pub(super) answers: u64,
    pub(super) is_batch: bool,
    pub(super) account: Option<AccountId>,
    pub(super) need: Need,
}

impl BudgetCall {
    pub(super) fn new(model: Arc<str>, cost: Cost) -> Self {
        Self {
            model,
            cost,
            answers: 1,
            is_batch: false,
            account: None,
        }
    }

    /// Of a request that has been read; `None` if it calls no model.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let call = Call::of(request)?;
        let is_batch = request.uri().host().is_some_and(is_batch_host);
        let account = request.extensions().get::<AccountId>().cloned();
        if let Some(model_call) = call.model_call() {
            return Some(Self {
                answers: u64::from(model_call.answers.max(1)),
                is_batch,
                account,
                ..Self::new(model_call.model.clone(), Cost::of(call))
            });
        }
        // A body that nobody could read, such as a compressed one. It costs all the same.
        let is_unread = call.body().is_none()
            && request.method() == Method::POST
            && Dialect::of_path(request.uri().path()).is_some();
        is_unread.then(|| Self {
            is_batch,
            account,
            ..Self::new("".into(), Cost::request())
        })
    }
}
