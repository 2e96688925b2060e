//! Lets attempts go to an account, one alone at first, and learns from what they come to.

use std::{fmt, mem, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::timeout;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{RejectKind, Rejected};
use tower_qwen_tokens::{Call, NotSent, call::BoxError};

use super::{Accounts, Waits};
use crate::{
    end_rules::Finding,
    failure::{find, of_error, of_parts},
    fatal::Fatal,
    first_calls::{OPEN_AFTER, Turn},
    flight::Flight,
    request::Route,
};

/// No account takes the call. It was not sent.
#[derive(Debug)]
pub struct AccountClosed {
    /// `None` where another account can send the call sooner.
    fatal: Option<Fatal>,
    /// By which Retry knows that another account may take it.
    not_sent: NotSent,
}

/// An attempt that may go to its account.
#[derive(Debug)]
pub struct AccountTrial {
    accounts: Accounts,
    index: usize,
    route: Route,
    turn: Turn,
}

impl AccountClosed {
    pub(super) fn new(fatal: Option<Fatal>) -> Self {
        Self {
            fatal,
            not_sent: NotSent::new(None),
        }
    }

    /// Why the account takes no calls; `None` where it does, and another one can send the call sooner.
    #[must_use]
    pub fn fatal(&self) -> Option<&Fatal> {
        self.fatal.as_ref()
    }
}

impl AccountTrial {
    pub(super) fn new(accounts: Accounts, index: usize, route: Route, turn: Turn) -> Self {
        Self {
            accounts,
            index,
            route,
            turn,
        }
    }

    /// Lets the others go without knowing what becomes of this one.
    fn open(&mut self) {
        self.accounts.end_trial(self.index, self.route.model());
        mem::take(&mut self.turn).open();
    }

    fn end<RB>(mut self, result: &Result<Response<RB>, BoxError>) {
        let (is_answered, failure) = match result {
            Ok(answer) => (true, of_parts(answer.status(), answer.extensions())),
            Err(error) => match of_error(&**error) {
                Some(failure) => (false, Some(failure)),
                None => match used_up(error) {
                    Some(fatal) => return self.note(false, false, Some(fatal)),
                    // It was not sent, so that the next call is the first.
                    None => return,
                },
            },
        };
        let is_success = failure.is_none();
        let fatal = failure.and_then(|(_, fatal)| fatal);
        self.note(is_success, is_answered, fatal);
    }

    fn note(&mut self, is_success: bool, is_answered: bool, fatal: Option<Fatal>) {
        let Self { index, route, .. } = self;
        let fatal = fatal.map(|fatal| fatal.of(route.model(), route.path()));
        let finding = Finding {
            route: route.key(),
            is_success,
            is_answered,
            fatal: fatal.as_ref(),
        };
        let turn = mem::take(&mut self.turn);
        if turn.is_first() {
            self.accounts.end_trial(*index, route.model());
        }
        self.accounts.note(*index, route, turn, finding);
    }
}

impl Drop for AccountTrial {
    fn drop(&mut self) {
        if self.turn.is_first() {
            self.accounts.end_trial(self.index, self.route.model());
        }
    }
}

/// The plan is used up, as an earlier call has learned.
fn used_up(error: &BoxError) -> Option<Fatal> {
    let rejected = find::<Rejected>(&**error)?;
    let is_plan = rejected.kind() == RejectKind::PlanUsedUp;
    is_plan.then(|| Fatal::plan(rejected.until(), rejected.to_string()))
}

/// One attempt at the account that the request names.
///
/// # Errors
///
/// [`AccountClosed`] where that takes no such call, else those of the service.
pub async fn attempt<S, RB>(
    waits: Option<Waits>,
    service: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<RB>, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError>,
{
    let route = request.extensions().get::<Route>().cloned();
    let (Some(waits), Some(route)) = (waits, route) else {
        return service.oneshot(request).await;
    };
    let accounts = waits.accounts();
    let mut trial = accounts.enter(&request, &route).await?;
    let flight = request.extensions().get::<Flight>().cloned();
    let flight = flight.unwrap_or_default();
    let call = Call::of(&request).cloned();
    let leave = waits.leave(trial.index, &route, call.as_deref());
    let mut work = pin!(flight.unless(leave, service.oneshot(request)));
    let mut result = None;
    if trial.turn.is_first() {
        result = timeout(OPEN_AFTER, work.as_mut()).await.ok();
        if result.is_none() {
            trial.open();
        }
    }
    let result = match result {
        Some(result) => result,
        None => work.await,
    };
    let Some(result) = result else {
        let is_open = accounts.is_open(trial.index, &route);
        return Err(match is_open {
            true => AccountClosed::new(None),
            false => accounts.closed(&route),
        }
        .into());
    };
    trial.end(&result);
    result
}

impl fmt::Display for AccountClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fatal {
            Some(fatal) => write!(f, "no account takes the call: {fatal}"),
            None => f.write_str("another account can send the call sooner"),
        }
    }
}

impl std::error::Error for AccountClosed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.not_sent)
    }
}
