//! A server's callers in a fleet: the processes grant one quota together.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::Full;
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_qwen_ratelimit::{
    EnforceLayer, KeyOf, Limit, Limiter, OutagePolicy, Quota, Quotas, Reserve,
    enforce::{CallerQueue, Rejection, RejectionKind},
    fleet::redis::{RedisOptions, RedisStore},
    period::{Period, TimeZone},
};

use crate::server::Server;

type Body = Full<Bytes>;
type Service = BoxCloneSyncService<Request<Body>, StatusCode, Infallible>;

/// One replica of a gateway.
struct Replica {
    limiter: Limiter,
    store: RedisStore,
    driver: JoinHandle<()>,
    service: Service,
}

impl Replica {
    async fn start(server: &Server, quotas: impl Into<Quotas>, outage: OutagePolicy) -> Self {
        Self::with(server, quotas, outage, |layer| layer).await
    }

    async fn with(
        server: &Server,
        quotas: impl Into<Quotas>,
        outage: OutagePolicy,
        change: impl FnOnce(EnforceLayer) -> EnforceLayer,
    ) -> Self {
        let options = RedisOptions::new(&server.url())
            .unwrap()
            .outage(outage)
            // Far longer than an answer takes on a busy machine.
            .timeout(Duration::from_secs(5));
        let (store, driver) = RedisStore::with_options(options).await.unwrap();
        let limiter = Limiter::builder(quotas)
            .callers_store(&store)
            .build()
            .unwrap();
        let layer = change(EnforceLayer::new(limiter.clone(), KeyOf::api_key()));
        let service = layer.layer(service_fn(answer)).map_response(|response| {
            let status = response.status();
            if let Some(rejection) = response.extensions().get::<Rejection>() {
                let seconds = response.headers().get(RETRY_AFTER);
                let seconds: Option<u64> = seconds.map(|it| it.to_str().unwrap().parse().unwrap());
                match rejection.kind() {
                    RejectionKind::TooLarge => assert_eq!(seconds, None),
                    _ => assert!(
                        (1..=86_401).contains(&seconds.unwrap()),
                        "{rejection}: {seconds:?}"
                    ),
                }
            }
            status
        });
        Self {
            limiter,
            store,
            driver: tokio::spawn(driver),
            service: BoxCloneSyncService::new(service),
        }
    }

    async fn call(&self, key: &str) -> StatusCode {
        self.service.clone().oneshot(request(key)).await.unwrap()
    }
}

/// Some hundred tokens.
fn request(key: &str) -> Request<Body> {
    Request::post("https://host/compatible-mode/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::from(
            r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hi!"}],"max_tokens":90}"#,
        ))
        .unwrap()
}

async fn answer(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Full::from("{}")))
}

async fn admitted(replicas: &[Replica], key: &str, calls: usize) -> usize {
    let mut admitted = 0;
    for call in 0..calls {
        match replicas[call % replicas.len()].call(key).await {
            StatusCode::OK => admitted += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }
    admitted
}

#[tokio::test]
async fn two_replicas_grant_one_quota_to_each_key() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(10, 1_000_000);
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(Replica::start(&server, quota, OutagePolicy::LocalShare).await);
    }
    // Both know a key by the same digest, so they share its account; another key has its own.
    assert_eq!(admitted(&replicas, "sk-1", 24).await, 10);
    assert_eq!(admitted(&replicas[..1], "sk-2", 8).await, 8);
    assert_eq!(admitted(&replicas[1..], "sk-2", 8).await, 2);
    // Calls one by one: most are served from what was taken beforehand.
    for replica in replicas {
        drop((replica.limiter, replica.service, replica.store));
        replica.driver.await.unwrap();
    }
    // What a replica has used stays used after its end.
    let replica = Replica::start(&server, quota, OutagePolicy::LocalShare).await;
    assert_eq!(admitted(&[replica], "sk-1", 4).await, 0);
}

#[tokio::test]
async fn tokens_and_further_limits_are_shared() {
    let Some(server) = Server::start() else {
        return;
    };
    let day = Limit::tokens(450, Period::day(TimeZone::UTC));
    let second = Limit::requests(3, Period::rolling(Duration::from_secs(30)));
    for (quota, expected) in [
        (Quota::per_minute(1_000, 450), 4),
        (Quota::unlimited().and(day), 4),
        (Quota::unlimited().and(second), 3),
        (Quota::unlimited(), 8),
    ] {
        // The ceiling of the answer, so that four calls fit into 450 tokens.
        let quota = quota.reserve(Reserve::Ceiling);
        let (first, second) = (
            Replica::start(&server, quota, OutagePolicy::LocalShare).await,
            Replica::start(&server, quota, OutagePolicy::LocalShare).await,
        );
        let key = format!("sk-{quota:?}");
        assert_eq!(
            admitted(&[first, second], &key, 8).await,
            expected,
            "{quota:?}"
        );
    }
}

#[tokio::test]
async fn a_change_of_quotas_holds_for_what_is_granted() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(4, 1_000_000);
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(Replica::start(&server, quota, OutagePolicy::LocalShare).await);
    }
    assert_eq!(admitted(&replicas, "sk-1", 8).await, 4);
    for replica in &replicas {
        let more = Quota::per_minute(7, 1_000_000);
        replica.limiter.set_quota(more).unwrap();
    }
    // That nothing is left was an answer to the old limit.
    assert_eq!(admitted(&replicas, "sk-1", 8).await, 3);
}

#[tokio::test]
async fn calls_queue_for_what_the_fleet_has() {
    let Some(server) = Server::start() else {
        return;
    };
    // The window is two seconds long: what was used comes back soon.
    let quota = Quota::per_minute(4, 1_000_000).window(Duration::from_secs(2));
    let queue = CallerQueue::new(Duration::from_secs(10));
    let mut replicas = Vec::new();
    for _ in 0..2 {
        let replica = Replica::with(&server, quota, OutagePolicy::LocalShare, |layer| {
            layer.queue(queue)
        });
        replicas.push(replica.await);
    }
    let begun = Instant::now();
    let calls = (0..8).map(|call| replicas[call % 2].call("sk-1"));
    let statuses = futures_util::future::join_all(calls).await;
    assert_eq!(statuses, [StatusCode::OK; 8]);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn without_the_store_the_policy_decides() {
    let quota = Quota::per_minute(80, 1_000_000);
    for (outage, expected) in [
        // Eight processes are assumed until the store has counted them, which it may have.
        (OutagePolicy::LocalShare, 10..=80),
        (OutagePolicy::Unlimited, 80..=80),
        (OutagePolicy::Reject, 0..=0),
    ] {
        let Some(mut server) = Server::start() else {
            return;
        };
        let replica = Replica::start(&server, quota, outage).await;
        server.kill();
        while !replica.store.snapshot().is_away {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut admitted = 0;
        for _ in 0..100 {
            match replica.call("sk-1").await {
                StatusCode::OK => admitted += 1,
                StatusCode::SERVICE_UNAVAILABLE => assert_eq!(outage, OutagePolicy::Reject),
                status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
            }
        }
        assert!(expected.contains(&admitted), "{outage:?}: {admitted}");
    }
}
