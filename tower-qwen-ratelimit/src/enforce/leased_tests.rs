//! Calls that ask a store for their budget, over a service whose readiness is a permit.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_qwen_tokens::{PriceBook, ledger::Tenant};

use super::{CallerQueue, EnforceLayer};
use crate::{
    budget::{Amount, Budget, BudgetTable, Budgets},
    cost::{Cost, OutputLimit},
    key::KeyOf,
    leased_amounts::{AmountStore, LeaseReply, LeaseReport, LeasedAmount, LeasedBudgets},
    limiter::Limiter,
    period::Period,
    quota::Quota,
    sharing::OutagePolicy,
};

type Body = Full<Bytes>;

/// A store that answers when the test says so.
#[derive(Debug, Default)]
struct Store {
    budgets: OnceLock<Weak<dyn LeasedBudgets>>,
}

impl AmountStore for Store {
    fn next_holder(&self) -> u64 {
        1
    }

    fn members(&self) -> u64 {
        1
    }

    fn outage_policy(&self) -> OutagePolicy {
        OutagePolicy::Reject
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn capacity(&self) -> usize {
        1
    }

    fn request_report(&self) {}

    fn push_last_report(&self, _: LeaseReport) {}

    fn join(&self, budgets: Weak<dyn LeasedBudgets>) -> bool {
        self.budgets.set(budgets).expect("once");
        false
    }
}

impl Store {
    /// Grants twice what the call needs that waits.
    fn answer(&self) {
        let budgets = self.budgets.get().and_then(Weak::upgrade).expect("joined");
        let report = budgets.next_report(1).expect("a call waits");
        let amounts = report.limits.iter().enumerate().map(|(place, limit)| {
            let calls = report.calls.iter().flatten();
            let needs = calls.filter(|(at, _)| *at == place);
            let granted = limit.granted + 2 * needs.map(|(_, need)| need).sum::<u64>();
            LeasedAmount {
                granted,
                all: granted,
                earlier: 0,
                life: 1,
            }
        });
        let reply = LeaseReply {
            began: 1,
            limits: amounts.collect(),
            fits: vec![true; report.calls.len()],
        };
        budgets.on_report_end(report.number, Some(reply));
    }
}

fn call() -> Request<Body> {
    let body =
        r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi!"}],"max_tokens":90}"#;
    Request::post("/compatible-mode/v1/chat/completions")
        .extension(Tenant::new("a"))
        .body(Body::from(body))
        .expect("a request")
}

/// A call that has waited for its quota has given its permit up. If it has to ask the store then, it goes with a new one.
#[tokio::test(start_paused = true)]
async fn a_call_that_the_store_has_answered_waits_for_a_ready_service() {
    let store = Arc::new(Store::default());
    let total = Budget::new(Amount::Tokens(10_000), Period::total());
    let budgets = Budgets::builder(PriceBook::builtin())
        .table(BudgetTable::new().tenant("a", total))
        .over(store.clone())
        .build()
        .expect("a sound table");
    let limited = ConcurrencyLimitLayer::new(1).layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let limiter = Limiter::new(Quota::per_minute(1, 100_000));
    let server = EnforceLayer::new(limiter, KeyOf::extension::<Tenant>())
        .budgets(budgets.clone())
        .queue(CallerQueue::new(Duration::from_secs(90)))
        .layer(limited.clone());

    let mut first = task::spawn(server.clone().oneshot(call()));
    assert_pending!(first.poll());
    store.answer();
    assert_eq!(assert_ready_ok!(first.poll()).status(), StatusCode::OK);

    // The process holds enough for the second one, which waits for its quota alone.
    let mut second = task::spawn(server.oneshot(call()));
    assert_pending!(second.poll());
    let mut permit = limited;
    assert_ready_ok!(task::spawn(permit.ready()).poll());
    // Meanwhile another call takes of it.
    let other = budgets.reserve("a", "qwen-plus", Cost::new(1, OutputLimit::NoOutput));
    let other = other.expect("the process holds it");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_pending!(second.poll());
    store.answer();
    assert_pending!(second.poll(), "the service is not ready");
    drop(permit);
    assert_eq!(assert_ready_ok!(second.poll()).status(), StatusCode::OK);
    drop(other);
}
