//! Budgets that processes share. All amounts are for ever: a test that waits must not meet a midnight.

use std::time::Duration;

use tokio::{task::JoinHandle, time::sleep};
use tower_qwen_ratelimit::{
    Budget, Budgets, OutagePolicy,
    budget::{Amount, BudgetError, BudgetOwner, BudgetReservation, BudgetTable, Group},
    fleet::redis::{RedisOptions, RedisStore},
    period::Period,
};
use tower_qwen_tokens::{PriceBook, Usage, internal::clock};

use crate::{server::Server, support::cost};

/// How long what is idle may take to come back: it is idle for two seconds, and looked for each second.
const COMES_BACK: Duration = Duration::from_secs(5);

struct Process {
    store: RedisStore,
    budgets: Budgets,
    driver: JoinHandle<()>,
}

impl Process {
    async fn start(server: &Server, table: BudgetTable, outage: OutagePolicy) -> Self {
        let options = RedisOptions::new(&server.url())
            .unwrap()
            .outage(outage)
            .processes(4)
            .timeout(Duration::from_secs(1));
        let (store, driver) = RedisStore::with_options(options).await.unwrap();
        let budgets = Budgets::builder(PriceBook::builtin())
            .table(table)
            .store(&store)
            .build()
            .unwrap();
        let driver = tokio::spawn(driver);
        Self {
            store,
            budgets,
            driver,
        }
    }

    async fn reserve(&self, tenant: &str, tokens: u64) -> Result<BudgetReservation, BudgetError> {
        self.budgets
            .acquire(tenant, "qwen-plus", cost(tokens))
            .await
    }

    /// A call that costs what was reserved. Whether it went.
    async fn call(&self, tenant: &str, tokens: u64) -> bool {
        let reservation = self.reserve(tenant, tokens).await;
        if let Ok(reservation) = &reservation {
            reservation.mark_sent();
            reservation.settle(&Usage::new(tokens, 0));
        }
        reservation.is_ok()
    }

    /// How many calls go until one does not.
    async fn calls(&self, tenant: &str, tokens: u64) -> u64 {
        let mut calls = 0;
        while self.call(tenant, tokens).await {
            calls += 1;
        }
        calls
    }

    async fn until_away(&self, is_away: bool) {
        while self.store.snapshot().is_away != is_away {
            sleep(Duration::from_millis(10)).await;
        }
        // And until the budgets know.
        sleep(Duration::from_millis(100)).await;
    }

    /// Ends as a program does that drops everything.
    async fn end(self) {
        let Self {
            store,
            budgets,
            driver,
        } = self;
        drop((store, budgets));
        driver.await.unwrap();
    }

    fn die(self) {
        self.driver.abort();
    }
}

fn tokens(limit: u64) -> Budget {
    Budget::new(Amount::Tokens(limit), Period::total())
}

/// Each tenant 700, all together 1,000.
fn table() -> BudgetTable {
    BudgetTable::new()
        .default_budget(tokens(700))
        .group("all", Group::new(tokens(1_000)).everyone())
}

#[tokio::test]
async fn all_together_spend_one_budget_and_all_of_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::start(&server, table(), OutagePolicy::Reject).await);
    }
    let spending = processes.iter().enumerate().map(async |(at, process)| {
        let tenant = if at < 2 { "a" } else { "b" };
        process.calls(tenant, 10).await
    });
    let calls = futures_util::future::join_all(spending).await;
    assert!(calls[0] + calls[1] <= 70, "{calls:?}");
    let spent: u64 = calls.iter().sum::<u64>() * 10;
    assert!(spent <= 1_000, "{calls:?}");
    for process in processes {
        process.end().await;
    }
    // What the others had too much is there for another one; and nothing more.
    let process = Process::start(&server, table(), OutagePolicy::Reject).await;
    let rest = process.calls("c", 1).await;
    assert_eq!(spent + rest, 1_000, "{calls:?}");
    let Err(BudgetError::Exceeded(exceeded)) = process.reserve("c", 1).await else {
        panic!("nothing is left");
    };
    assert_eq!(exceeded.owner, BudgetOwner::Group("all".into()));
    assert_eq!(exceeded.spent, Amount::Tokens(1_000));
}

#[tokio::test]
async fn what_is_idle_comes_back_and_what_a_dead_process_had_does_not() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, table(), OutagePolicy::Reject).await;
    let other = Process::start(&server, table(), OutagePolicy::Reject).await;
    assert!(one.call("a", 10).await);
    sleep(COMES_BACK).await;
    let calls = other.calls("b", 10).await + other.calls("c", 10).await;
    assert_eq!(calls, 99);
    let short = one.reserve("a", 100).await;
    assert!(matches!(short, Err(BudgetError::Exceeded(_))));
    other.die();
    one.die();

    // A dead process has a quarter of its part at most beforehand: 1,000 / 4 / 1 of the group.
    let server = Server::start().expect("there was one");
    let one = Process::start(&server, table(), OutagePolicy::Reject).await;
    assert!(one.call("a", 100).await);
    one.die();
    let other = Process::start(&server, table(), OutagePolicy::Reject).await;
    let calls = other.calls("b", 1).await + other.calls("c", 1).await;
    assert!((600..=900).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_call_that_costs_more_is_counted_and_one_that_costs_less_makes_room() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, table(), OutagePolicy::Reject).await;
    let other = Process::start(&server, table(), OutagePolicy::Reject).await;
    let large = one.reserve("a", 600).await.unwrap();
    large.mark_sent();
    assert!(other.reserve("b", 500).await.is_err());
    large.settle(&Usage::new(100, 0));
    sleep(COMES_BACK).await;
    let small = other.reserve("b", 100).await.unwrap();
    small.mark_sent();
    // Four hundred more than was reserved.
    small.settle(&Usage::new(500, 0));
    sleep(COMES_BACK).await;
    assert_eq!(one.calls("c", 1).await, 400);
}

#[tokio::test]
async fn while_the_store_is_away_each_has_its_part() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut processes = Vec::new();
    for policy in [
        OutagePolicy::LocalShare,
        OutagePolicy::LocalShare,
        OutagePolicy::Unlimited,
        OutagePolicy::Reject,
    ] {
        processes.push(Process::start(&server, table(), policy).await);
    }
    for process in &processes {
        assert!(process.call("a", 10).await);
    }
    // Until all know how many they are, and have given back what is idle.
    sleep(COMES_BACK).await;
    server.kill();
    for process in &processes {
        process.until_away(true).await;
    }
    // What the store had left, at least 960 of 1,000 for the first and less for the others, by 4.
    for process in &processes[..2] {
        let calls = process.calls("b", 1).await;
        assert!(
            (170..=180).contains(&calls),
            "{calls}: 700 / 4, and what was left of the group"
        );
    }
    assert!(processes[2].call("b", 5_000).await);
    let rejected = processes[3].reserve("b", 1).await;
    assert!(matches!(rejected, Err(BudgetError::StoreAway { .. })));

    // It comes back empty, and learns from all what was spent.
    server.restart();
    for process in &processes {
        process.until_away(false).await;
    }
    sleep(COMES_BACK).await;
    for process in &processes {
        assert_eq!(process.calls("c", 1).await, 0, "more than all is spent");
    }
}

#[tokio::test]
async fn a_server_without_memory_learns_from_those_that_live() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = Process::start(&server, table(), OutagePolicy::Reject).await;
    let other = Process::start(&server, table(), OutagePolicy::Reject).await;
    assert!(one.call("a", 300).await);
    assert!(other.call("b", 300).await);
    sleep(COMES_BACK).await;
    crate::support::tell(&server, &["FLUSHALL"]);
    // The longest time without a report, and a second.
    sleep(Duration::from_secs(12)).await;
    // The sum that was read last has what another process held then.
    let calls = one.calls("a", 1).await;
    assert!((250..=400).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_driver_that_is_not_run_holds_nobody_up() {
    let Some(server) = Server::start() else {
        return;
    };
    let options = RedisOptions::new(&server.url())
        .unwrap()
        .timeout(Duration::from_millis(100));
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let builder = Budgets::builder(PriceBook::builtin()).store(&store);
    let budgets = builder.table(table()).build().unwrap();
    let begun = clock::now();
    for _ in 0..50 {
        // A process that has never reached its store is one of eight.
        let reservation = budgets.acquire("a", "qwen-plus", cost(1)).await;
        reservation.unwrap().mark_sent();
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    let reservation = budgets.acquire("a", "qwen-plus", cost(50)).await;
    assert!(reservation.is_err());
    drop(driver);
}

#[tokio::test]
async fn a_rolling_period_is_shared_and_what_leaves_it_is_there_for_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let budget = Budget::new(Amount::Tokens(100), Period::rolling(Duration::from_secs(4)));
    let table = BudgetTable::new().default_budget(budget);
    let one = Process::start(&server, table.clone(), OutagePolicy::Reject).await;
    let other = Process::start(&server, table.clone(), OutagePolicy::Reject).await;
    assert!(one.call("a", 60).await);
    let begun = clock::now();
    let calls = other.calls("a", 1).await;
    // What the first one took beforehand is a part of what was left.
    assert!((30..=40).contains(&calls), "{calls}");
    while !other.call("a", 60).await {
        sleep(Duration::from_millis(50)).await;
    }
    let waited = begun.elapsed();
    let expected = Duration::from_millis(3_900)..Duration::from_secs(8);
    assert!(expected.contains(&waited), "{waited:?}");

    // What a dead process holds is blocked for the period and ten seconds.
    let dead = Process::start(&server, table, OutagePolicy::Reject).await;
    sleep(COMES_BACK).await;
    assert!(dead.call("a", 90).await);
    dead.die();
    let begun = clock::now();
    while !one.call("a", 80).await {
        sleep(Duration::from_millis(200)).await;
    }
    let waited = begun.elapsed();
    let expected = Duration::from_secs(13)..Duration::from_secs(18);
    assert!(expected.contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn invented_tenants_that_spend_nothing_leave_the_server() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, table(), OutagePolicy::Reject).await;
    for number in 0..200 {
        let reservation = process.reserve(&number.to_string(), 1).await.unwrap();
        reservation.give_back();
    }
    process.end().await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let limits: Vec<String> = redis::Commands::keys(&mut connection, "*:limit:*").unwrap();
    assert_eq!(limits.len(), 201);
    for limit in limits {
        let lives: i64 = redis::Commands::pttl(&mut connection, &limit).unwrap();
        assert!((1..=60_000).contains(&lives), "{limit} {lives}");
    }
}
