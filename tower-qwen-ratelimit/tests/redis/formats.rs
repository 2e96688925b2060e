use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::{Commands, Connection};
use tower_qwen_ratelimit::{
    Limiter, LimiterEvent, Quota,
    fleet::redis::{RedisOptions, RedisStore, Sharing},
};

use crate::{
    server::Server,
    support::{Process, tell},
};

const ACCOUNT: &str = "tower-qwen:{https://provider qwen-plus}";
/// A heartbeat goes each eighth of it.
const WINDOW: Duration = Duration::from_millis(800);

type Seen = Arc<Mutex<Vec<(u32, u32)>>>;

/// A process of this version, and the formats that its observers were told of: its own and the other.
async fn process(server: &Server, sharing: Sharing) -> (Process, Seen) {
    let options = RedisOptions::new(&server.url()).unwrap().sharing(sharing);
    let (store, driver) = RedisStore::with_options(options).await.unwrap();
    let seen = Seen::default();
    let observer = {
        let seen = seen.clone();
        move |event: &LimiterEvent<'_>| {
            if let LimiterEvent::StoreFormat { own, other, .. } = event {
                seen.lock().unwrap().push((*own, *other));
            }
        }
    };
    let quota = Quota::per_minute(1_000, 100_000).window(WINDOW);
    let limiter = Limiter::builder(quota)
        .observe(observer)
        .store(&store)
        .build()
        .unwrap();
    let driver = tokio::spawn(driver);
    let process = Process {
        store,
        limiter,
        driver,
    };
    (process, seen)
}

fn connect(server: &Server) -> Connection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_connection().unwrap()
}

/// Sends calls over several heartbeats.
async fn works(process: &Process) {
    for _ in 0..10 {
        process.sends(10).await;
        tokio::time::sleep(WINDOW / 10).await;
    }
    process.store.flush().await;
}

#[tokio::test]
async fn an_account_without_a_number_is_left_alone_and_told_once() {
    for sharing in [Sharing::Booking, Sharing::Lease] {
        let Some(server) = Server::start() else {
            return;
        };
        // As the first version left it, with another window and with calls that were booked.
        let old = format!("{ACCOUNT}:gates");
        let fields = [
            "v", "1", "w", "60000000", "t", "1", "c", "70", "lr", "-9", "k", "0",
        ];
        tell(&server, &[&["HSET", &*old][..], &fields].concat());
        let mut connection = connect(&server);
        let before: HashMap<String, String> = connection.hgetall(&old).unwrap();

        let (one, seen) = process(&server, sharing).await;
        let (other, of_other) = process(&server, sharing).await;
        works(&one).await;
        works(&other).await;

        let after: HashMap<String, String> = connection.hgetall(&old).unwrap();
        assert_eq!(after, before);
        let own: bool = connection
            .hexists(format!("{ACCOUNT}:2:gates"), "state")
            .unwrap();
        assert!(own, "{sharing:?}");
        assert_eq!(*seen.lock().unwrap(), [(2, 1)], "{sharing:?}");
        assert_eq!(*of_other.lock().unwrap(), [(2, 1)], "each process says so");
    }
}

#[tokio::test]
async fn a_newer_format_is_told_too_and_its_own_is_not() {
    let Some(server) = Server::start() else {
        return;
    };
    let (one, seen) = process(&server, Sharing::Lease).await;
    works(&one).await;
    assert!(seen.lock().unwrap().is_empty(), "there are no others");
    // Long ago, and from now on.
    let formats = format!("{ACCOUNT}:formats");
    tell(&server, &["ZADD", &formats, "1", "4"]);
    works(&one).await;
    assert!(seen.lock().unwrap().is_empty(), "it is not used any more");
    tell(&server, &["ZADD", &formats, "9000000000000000", "3"]);
    works(&one).await;
    assert_eq!(*seen.lock().unwrap(), [(2, 3)]);
}
