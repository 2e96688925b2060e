use std::time::Duration;

use tokio::time::timeout;
use tower_qwen_ratelimit::{
    Budget, Budgets, Key, Pacing, Quota,
    budget::{Amount, BudgetTable, Group},
    fleet::redis::{RedisOptions, RedisStore},
    period::Period,
};
use tower_qwen_tokens::PriceBook;

use crate::{
    server::Server,
    support::{self, LONG, Process, cost},
};

/// Servers that are a cluster, the first two each with half of the slots; `None` where there is no `redis-server`.
fn cluster<const N: usize>() -> Option<[Server; N]> {
    let servers: Vec<Server> = (0..N)
        .map(|_| Server::start_with(&["--cluster-enabled", "yes"]))
        .collect::<Option<_>>()?;
    let [one, other, ..] = &servers[..] else {
        return None;
    };
    for (server, slots) in [(one, 0..8_192), (other, 8_192..16_384)] {
        let mut words = vec!["ADDSLOTS".to_owned()];
        words.extend(slots.map(|slot: u16| slot.to_string()));
        tell(server, &words);
    }
    for server in &servers[1..] {
        let meet = ["MEET", "127.0.0.1", &server.port().to_string()].map(str::to_owned);
        tell(one, &meet);
    }
    for server in &servers {
        let whole = ["cluster_state:ok", "cluster_slots_ok:16384"];
        while !whole
            .iter()
            .all(|part| tell(server, &["INFO".to_owned()]).contains(part))
        {
            std::thread::yield_now();
        }
    }
    servers.try_into().ok()
}

fn tell(server: &Server, words: &[String]) -> String {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut command = redis::cmd("CLUSTER");
    command.arg(words).query(&mut connection).unwrap()
}

#[tokio::test]
async fn accounts_stand_at_all_nodes_of_a_cluster() {
    let Some(servers) = cluster::<2>() else {
        return;
    };
    let quota = Quota::per_minute(10, 10_000)
        .headroom(0)
        .pacing(Pacing::Window);
    let options = || RedisOptions::new(&servers[0].url()).unwrap().cluster();
    let one = Process::with(options(), quota).await;
    let other = Process::with(options(), quota).await;
    for number in 0..16 {
        let key = Key::new("https://provider", &format!("model-{number}"));
        for process in [&one, &other] {
            for _ in 0..5 {
                let call = process.limiter.acquire(&key, cost(1)).await.unwrap();
                call.mark_sent();
                call.settle(1, 0);
            }
        }
        let eleventh = one.limiter.acquire(&key, cost(1));
        let refused = eleventh.max_wait(Duration::from_secs(1)).await;
        assert!(refused.is_err(), "{number}");
    }
    assert_eq!(one.store.snapshot().outages, 0);
}

#[tokio::test]
async fn a_budget_and_its_groups_are_one_at_a_cluster() {
    let Some(servers) = cluster::<2>() else {
        return;
    };
    let tokens = |limit| Budget::new(Amount::Tokens(limit), Period::total());
    let table = BudgetTable::new()
        .default_budget(tokens(40))
        .group("team", Group::new(tokens(60)).tenants(["a", "b"]))
        .group("all", Group::new(tokens(100)).everyone());
    let (mut processes, mut stores) = (Vec::new(), Vec::new());
    for server in &servers {
        let options = RedisOptions::new(&server.url()).unwrap().cluster();
        let (store, driver) = RedisStore::with_options(options).await.unwrap();
        tokio::spawn(driver);
        let builder = Budgets::builder(PriceBook::builtin()).table(table.clone());
        processes.push(builder.store(&store).build().unwrap());
        stores.push(store);
    }
    for (tenant, fits) in [("a", 4), ("b", 2), ("c", 4), ("d", 0)] {
        let mut calls = 0;
        for call in 0..10 {
            let reservation = processes[call % 2].acquire(tenant, "m", cost(10)).await;
            if let Ok(reservation) = reservation {
                reservation.mark_sent();
                calls += 1;
            }
        }
        assert_eq!(calls, fits, "{tenant}");
    }
    assert!(stores.iter().all(|store| store.snapshot().outages == 0));
}

#[tokio::test]
async fn a_cluster_is_found_again_without_the_node_that_was_named() {
    let Some([one, other, mut named]) = cluster() else {
        return;
    };
    let options = RedisOptions::new(&named.url()).unwrap().cluster();
    let process = Process::with(options, Quota::per_minute(1_000, 100_000)).await;
    process.sends(10).await;
    process.store.flush().await;
    // It has no slots: nobody misses it.
    named.kill();
    for server in [&one, &other] {
        support::tell(server, &["CLIENT", "KILL", "TYPE", "normal"]);
    }
    let until = async |is_so: &dyn Fn() -> bool| {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, waiting).await.unwrap();
    };
    until(&|| process.store.snapshot().outages == 1).await;
    until(&|| !process.store.snapshot().is_away).await;
    process.sends(10).await;
}

#[tokio::test]
async fn a_server_alone_is_no_cluster() {
    let Some(server) = Server::start() else {
        return;
    };
    let options = RedisOptions::new(&server.url()).unwrap().cluster();
    assert!(RedisStore::with_options(options).await.is_err());
}
