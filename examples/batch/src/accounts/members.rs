//! What a run knows of its accounts while it goes on.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{sync::watch, time::Instant};
use tower_qwen_ratelimit::Limiter;
use tower_qwen_retry::{Fallback, Pool, RetryPolicy};
use tower_qwen_tokens::{AccountId, Ledger, internal::clock::WallClock};

use super::{Account, AccountClosed, AccountTrial, waits::Waits};
use crate::{
    end_rules::{EndRules, Ended, Finding, Next},
    fatal::{Fatal, FatalReason},
    first_calls::{FirstCalls, Turn},
    news::News,
    request::Route,
};

/// So long an account rests after a rejection that may be a fault of its server, before one call tries it again. Three in a
/// row leave it out: seconds of the run, and three attempts of calls that then go elsewhere.
const SUSPECTED: Duration = Duration::from_secs(2);
/// So long an account is left out that cannot be reached: it may come back, and a try costs one attempt.
const UNREACHABLE: Duration = Duration::from_secs(60);
/// So long an account is left out whose plan is used up, where nobody says until when. As often Admission tries such a plan.
const USED_UP: Duration = Duration::from_secs(30 * 60);

/// The accounts of a run. Clones share what is known of them.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    members: Vec<Member>,
    news: News,
}

struct Member {
    account: Account,
    /// The first call of the account, and of each model and path, goes alone.
    first: FirstCalls,
    ledger: Ledger,
    known: Mutex<Known>,
    /// Says that the account, or a model of it, was closed.
    closings: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    rules: EndRules,
    left_out: Option<LeftOut>,
    /// Models and paths that the account does not have, by [`Route::key`], and why.
    closed: HashMap<String, Fatal>,
    /// The models whose first call is under way, and since when.
    trials: HashMap<String, Instant>,
    /// What was said of the account: once each, however often it is found again.
    said: HashSet<&'static str>,
}

struct LeftOut {
    fatal: Fatal,
    /// `None`: for the rest of the run.
    until: Option<Instant>,
}

/// Which account an attempt of a call went to, the last time. Goes into the request's extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<AtomicUsize>);

impl Served {
    /// The number of the account.
    #[must_use]
    pub fn index(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, index: usize) {
        self.0.store(index, Ordering::Relaxed);
    }
}

impl Accounts {
    /// These accounts. What happens to them goes to the news.
    #[must_use]
    pub fn new(accounts: Vec<Account>, news: News) -> Self {
        let members = accounts.into_iter().map(|account| Member {
            ledger: Ledger::new(account.prices()),
            account,
            first: FirstCalls::default(),
            known: Mutex::default(),
            closings: watch::Sender::new(()),
        });
        Self(Arc::new(Inner {
            members: members.collect(),
            news,
        }))
    }

    /// Each account.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.0.members.iter().map(|member| &member.account)
    }

    /// The account of this number.
    #[must_use]
    pub fn get(&self, index: usize) -> &Account {
        &self.0.members[index].account
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.members.len()
    }

    /// The ledger of an account.
    #[must_use]
    pub fn ledger(&self, index: usize) -> &Ledger {
        &self.0.members[index].ledger
    }

    /// The policy by which calls go to the account that can send them soonest, and on from one that fails.
    pub fn policy(&self, policy: RetryPolicy, limiter: &Limiter) -> RetryPolicy {
        if self.count() < 2 {
            return policy;
        }
        let waits = Waits::new(self.clone(), limiter.clone());
        let others = self.iter().skip(1);
        let pool = others.fold(Pool::new().predicted_by(waits), |pool, account| {
            let target = Fallback::new(account.name()).account(account.id().clone());
            // Key and path follow below Retry, which then knows no key. An address that was read once is sound.
            match target.base_url(account.base().origin()) {
                Ok(target) => pool.target(target),
                Err(_) => pool,
            }
        });
        policy.pool(pool).cool_down(SUSPECTED)
    }

    /// Makes a request ready for the layers: it begins as one of the first account.
    #[must_use]
    pub fn prepare(&self, request: &mut Request<Full<Bytes>>, route: &Route) -> Served {
        let served = Served::default();
        let extensions = request.extensions_mut();
        extensions.insert(self.get(0).id().clone());
        extensions.insert(route.clone());
        extensions.insert(served.clone());
        served
    }

    /// The number of the account that a request names.
    pub(super) fn index_of<B>(&self, request: &Request<B>) -> usize {
        let id = request.extensions().get::<AccountId>();
        id.and_then(|id| self.index(id.as_str())).unwrap_or(0)
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.iter().position(|account| account.name() == name)
    }

    /// Waits until a call may go to an account.
    pub(super) async fn enter<B>(
        &self,
        request: &Request<B>,
        route: &Route,
    ) -> Result<AccountTrial, AccountClosed> {
        let index = self.index_of(request);
        if let Some(served) = request.extensions().get::<Served>() {
            served.set(index);
        }
        if !self.is_open(index, route) {
            return Err(self.closed(route));
        }
        let turn = self.0.members[index].first.enter(route.key()).await;
        let turn = turn.ok_or_else(|| self.closed(route))?;
        // The call that others waited for may have found that none of them can succeed.
        if !self.is_open(index, route) {
            return Err(self.closed(route));
        }
        if turn.is_first() {
            let model = route.model().to_owned();
            self.known(index).trials.insert(model, Instant::now());
        }
        Ok(AccountTrial::new(self.clone(), index, route.clone(), turn))
    }

    /// Says when an account, or a model of it, was closed.
    pub(super) fn closings(&self, index: usize) -> watch::Receiver<()> {
        self.0.members[index].closings.subscribe()
    }

    /// The first call of a model has ended, or takes too long.
    pub(super) fn end_trial(&self, index: usize, model: &str) {
        self.known(index).trials.remove(model);
    }

    /// Notes what an attempt came to.
    pub(super) fn note(&self, index: usize, route: &Route, turn: Turn, finding: Finding<'_>) {
        let mut known = self.known(index);
        match known.rules.note(finding) {
            Next::GoOn | Next::OneByOne => turn.open(),
            Next::CloseRoute(fatal) => {
                self.close_route(index, &mut known, route, fatal);
                turn.close_route();
            }
            Next::End(Ended::Fatal(fatal)) => self.leave_out(index, &mut known, fatal),
            // An account has no caps.
            Next::End(_) => {}
        }
    }

    /// An answer of the account shows that no provider is there, though its status is one of success.
    pub fn note_answer(&self, index: usize, fatal: &Fatal) {
        if fatal.reason == FatalReason::NoProvider && self.count() > 1 {
            self.leave_out(index, &mut self.known(index), fatal.clone());
        }
    }

    fn close_route(&self, index: usize, known: &mut Known, route: &Route, fatal: Fatal) {
        self.0.members[index].first.close(route.key());
        if !known.closed.contains_key(route.key()) && self.count() > 1 {
            let name = self.get(index).name();
            let (model, path) = (route.model(), route.path());
            self.0.news.add(format!(
                "Account {name} gets no calls of {model:?} to {path} from now on: {fatal}."
            ));
        }
        known.closed.insert(route.key().to_owned(), fatal);
        self.0.members[index].closings.send_replace(());
    }

    fn leave_out(&self, index: usize, known: &mut Known, fatal: Fatal) {
        let now = Instant::now();
        let until = match fatal.reason {
            FatalReason::Plan { until } => {
                let wait = until.and_then(|at| at.duration_since(WallClock::new().now()).ok());
                Some(now + wait.unwrap_or(USED_UP))
            }
            reason if reason.may_pass() => Some(now + UNREACHABLE),
            _ => None,
        };
        self.0.members[index].first.close_all();
        if known.said.insert(fatal.reason.as_str()) && self.count() > 1 {
            let name = self.get(index).name();
            let what = fatal.of_account(&self.get(index).target());
            self.0
                .news
                .add(format!("Account {name} is left out from now on: {what}."));
        }
        known.left_out = Some(LeftOut { fatal, until });
        self.0.members[index].closings.send_replace(());
    }

    /// Whether an account takes calls of a model and path. One that was left out for a time begins anew after it.
    pub(super) fn is_open(&self, index: usize, route: &Route) -> bool {
        self.serves(index, route.model()) && !self.known(index).closed.contains_key(route.key())
    }

    /// Whether an account takes calls of a model, to some path at least.
    pub(super) fn serves(&self, index: usize, model: &str) -> bool {
        self.get(index).serves(model) && !self.is_left_out(index)
    }

    fn is_left_out(&self, index: usize) -> bool {
        let mut known = self.known(index);
        let until = known.left_out.as_ref().map(|left_out| left_out.until);
        match until {
            None => false,
            Some(Some(until)) if until <= Instant::now() => {
                known.left_out = None;
                known.rules = EndRules::default();
                self.0.members[index].first.resume();
                false
            }
            Some(_) => true,
        }
    }

    /// Whether a call that failed so may go to another account, or to the same one in a moment.
    #[must_use]
    pub fn has_another(&self, fatal: &Fatal, route: &Route) -> bool {
        let mut indices = 0..self.count();
        // Retry tries all of them where a connection does not come about, and the end rules wait for it to come back.
        self.count() > 1
            && fatal.reason != FatalReason::Address
            && indices.any(|index| self.is_open(index, route))
    }

    /// What the run does after a call that met no account that could serve it; `None` where the end rules decide, as for a
    /// single account.
    #[must_use]
    pub fn next(&self, fatal: &Fatal) -> Option<Next> {
        if self.count() < 2 || fatal.reason == FatalReason::Address || !fatal.reason.is_of_all() {
            return None;
        }
        let is_end = (0..self.count()).all(|index| self.is_left_out(index));
        Some(match is_end {
            true => Next::End(Ended::Fatal(fatal.clone())),
            // The accounts that are left are not for this model.
            false => Next::CloseRoute(fatal.clone()),
        })
    }

    /// Since when the first call of a model is under way at an account.
    pub(super) fn trial(&self, index: usize, model: &str) -> Option<Instant> {
        self.known(index).trials.get(model).copied()
    }

    /// Why a call has no account.
    pub(super) fn closed(&self, route: &Route) -> AccountClosed {
        let mut reasons = (0..self.count())
            .filter(|&index| self.get(index).serves(route.model()))
            .filter_map(|index| {
                let known = self.known(index);
                let left_out = known.left_out.as_ref().map(|left_out| &left_out.fatal);
                left_out.or_else(|| known.closed.get(route.key())).cloned()
            });
        let none = || Fatal::no_account().of(route.model(), route.path());
        AccountClosed::new(Some(reasons.next().unwrap_or_else(none)))
    }

    /// Why the run ended, where no account is left of several.
    #[must_use]
    pub fn advice(&self, ended: Option<&Ended>) -> Option<String> {
        let Some(Ended::Fatal(fatal)) = ended else {
            return None;
        };
        let left_out = self.left_out();
        let is_pool = self.count() > 1 && fatal.reason.is_of_all();
        (is_pool && left_out.len() == self.count()).then(|| {
            format!(
                "No account is left: {}. Correct the accounts, then run again.",
                left_out.join("; ")
            )
        })
    }

    /// Which account is left out and why.
    fn left_out(&self) -> Vec<String> {
        let left_out = |index: usize| {
            let known = self.known(index);
            let account = self.get(index);
            let fatal = &known.left_out.as_ref()?.fatal;
            let what = fatal.of_account(&account.target());
            Some(format!("account {}: {what}", account.name()))
        };
        (0..self.count()).filter_map(left_out).collect()
    }

    /// The stable name of the reason for which an account is left out.
    pub(super) fn why_left_out(&self, index: usize) -> Option<&'static str> {
        let known = self.known(index);
        let left_out = known.left_out.as_ref();
        left_out.map(|left_out| left_out.fatal.reason.as_str())
    }

    fn known(&self, index: usize) -> MutexGuard<'_, Known> {
        let known = &self.0.members[index].known;
        known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(Account::name))
            .finish()
    }
}
