//! A storm of calls of many tenants at four processes, of which one dies, with a server that stands still for a while.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};
use tower_qwen_ratelimit::{
    Budget, Budgets, OutagePolicy,
    budget::{Amount, BudgetError, BudgetTable, Group},
    fleet::redis::{RedisOptions, RedisStore},
    period::Period,
};
use tower_qwen_tokens::{PriceBook, Usage};

use crate::{server::Server, support::cost};

const TENANTS: u64 = 200;
const CALLS: u64 = 30_000;
/// Calls of a process at one time.
const TASKS: u64 = 50;
const TOKENS: u64 = 100;
/// Of a tenant: a tenth of them wants more.
const OF_SMALL: u64 = 5_000;
const OF_LARGE: u64 = 1_000_000;
/// Of all together: almost all of them fit.
const OF_ALL: u64 = 2_000_000;

#[derive(Default)]
struct Figures {
    /// What calls have spent, or hold for good, by tenant.
    spent: Mutex<HashMap<u64, u64>>,
    begun: AtomicU64,
    admitted: AtomicU64,
    exceeded: AtomicU64,
    away: AtomicU64,
}

fn limit_of(tenant: u64) -> u64 {
    if tenant.is_multiple_of(10) {
        OF_SMALL
    } else {
        OF_LARGE
    }
}

fn table() -> BudgetTable {
    let tokens = |limit| Budget::new(Amount::Tokens(limit), Period::total());
    let group = Group::new(tokens(OF_ALL)).everyone();
    let table = BudgetTable::new().group("all", group);
    (0..TENANTS).fold(table, |table, tenant| {
        table.tenant(tenant.to_string(), tokens(limit_of(tenant)))
    })
}

struct Process {
    store: RedisStore,
    calls: JoinSet<()>,
    driver: tokio::task::JoinHandle<()>,
}

async fn start(server: &Server, figures: &Arc<Figures>) -> Process {
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .outage(OutagePolicy::Reject)
        .timeout(Duration::from_millis(500));
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let builder = Budgets::builder(PriceBook::builtin()).store(&store);
    let budgets = builder.table(table()).build().unwrap();
    let driver = tokio::spawn(driver);
    let mut calls = JoinSet::new();
    for _ in 0..TASKS {
        calls.spawn(calls_of(budgets.clone(), figures.clone()));
    }
    Process {
        store,
        calls,
        driver,
    }
}

async fn calls_of(budgets: Budgets, figures: Arc<Figures>) {
    loop {
        let call = figures.begun.fetch_add(1, Ordering::Relaxed);
        if call >= CALLS {
            return;
        }
        // A third of the calls is of the small tenants.
        let tenant = match call % 3 {
            0 => call / 3 % (TENANTS / 10) * 10,
            _ => call.wrapping_mul(2_654_435_761) % TENANTS,
        };
        let reservation = budgets
            .acquire(&tenant.to_string(), "qwen-plus", cost(TOKENS))
            .await;
        match reservation {
            Ok(reservation) => {
                figures.admitted.fetch_add(1, Ordering::Relaxed);
                reservation.mark_sent();
                *figures.spent.lock().unwrap().entry(tenant).or_default() += TOKENS;
                sleep(Duration::from_millis(10)).await;
                // Answers are shorter than was expected.
                let actual = TOKENS / 2 + call % (TOKENS / 2);
                reservation.settle(&Usage::new(actual, 0));
                *figures.spent.lock().unwrap().entry(tenant).or_default() -= TOKENS - actual;
            }
            Err(BudgetError::Exceeded(_)) => {
                figures.exceeded.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
            Err(_) => {
                figures.away.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test]
async fn no_budget_is_exceeded_and_few_calls_take_a_round_trip() {
    let Some(server) = Server::start() else {
        return;
    };
    let figures = Arc::new(Figures::default());
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(start(&server, &figures).await);
    }
    let after = async |calls: u64| {
        while figures.begun.load(Ordering::Relaxed) < calls {
            sleep(Duration::from_millis(1)).await;
        }
    };
    after(CALLS / 4).await;
    let mut dead = processes.pop().unwrap();
    dead.driver.abort();
    dead.calls.abort_all();
    let mut round_trips = dead.store.snapshot().round_trips;
    processes.push(start(&server, &figures).await);
    after(CALLS / 2).await;
    server.signal("-STOP");
    sleep(Duration::from_millis(1_500)).await;
    server.signal("-CONT");
    for process in &mut processes {
        while process.calls.join_next().await.is_some() {}
        round_trips += process.store.snapshot().round_trips;
    }
    let spent = figures.spent.lock().unwrap();
    for (tenant, spent) in &*spent {
        assert!(*spent <= limit_of(*tenant), "{tenant}: {spent}");
    }
    let all: u64 = spent.values().sum();
    assert!(all <= OF_ALL, "{all}");
    let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    let (admitted, exceeded) = (read(&figures.admitted), read(&figures.exceeded));
    let per_call = round_trips as f64 / CALLS as f64;
    println!(
        "{CALLS} calls: {admitted} admitted, {exceeded} exceeded, {} away; {round_trips} round trips, {per_call:.4} a call",
        read(&figures.away)
    );
    assert!(admitted > CALLS / 2 && exceeded > 100);
    assert!(per_call < 0.05, "{per_call}");
}
