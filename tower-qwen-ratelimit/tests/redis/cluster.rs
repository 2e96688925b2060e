use tower_qwen_ratelimit::{
    Key, Pacing, Quota,
    store::redis::{RedisOptions, RedisStore},
};

use crate::{
    server::Server,
    support::{Process, cost},
};

#[tokio::test]
async fn accounts_stand_at_all_nodes_of_a_cluster() {
    let Some(servers) = Server::start_cluster() else {
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
        let refused = eleventh.max_wait(std::time::Duration::from_secs(1)).await;
        assert!(refused.is_err(), "{number}");
    }
    assert_eq!(one.store.snapshot().outages, 0);
}

#[tokio::test]
async fn a_server_alone_is_no_cluster() {
    let Some(server) = Server::start() else {
        return;
    };
    let options = RedisOptions::new(&server.url()).unwrap().cluster();
    assert!(RedisStore::with_options(options).await.is_err());
}
