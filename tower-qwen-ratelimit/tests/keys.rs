//! Who is charged: every kind of key, and that no secret is ever shown.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, request::Builder};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, EnforceLayer, Key, KeyOf, Limiter, Quota, enforce::Rejection,
};

type Body = Full<Bytes>;

const CHAT: &str = "/compatible-mode/v1/chat/completions";

fn limiter() -> Limiter {
    Limiter::new(Quota::per_minute(1_000, 1_000_000))
}

fn post() -> Builder {
    Request::post(CHAT)
}

fn of_model(request: Builder, model: &str) -> Request<Body> {
    let body = format!(r#"{{"model":"{model}","messages":[],"max_tokens":1}}"#);
    request.body(Full::from(body)).unwrap()
}

async fn send(limiter: &Limiter, key_of: &KeyOf, request: Request<Body>) {
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let layer = EnforceLayer::new(limiter.clone(), key_of.clone());
    let Ok(answer) = layer.layer(handler).oneshot(request).await;
    assert_eq!(answer.status(), 200);
}

/// How many accounts these requests make.
async fn accounts(key_of: KeyOf, requests: Vec<Request<Body>>) -> usize {
    let limiter = limiter();
    for request in requests {
        send(&limiter, &key_of, request).await;
    }
    limiter.snapshot().len()
}

/// How the accounts that these requests make are shown.
async fn shown(key_of: KeyOf, requests: Vec<Request<Body>>) -> BTreeSet<String> {
    let limiter = limiter();
    for request in requests {
        send(&limiter, &key_of, request).await;
    }
    let accounts = limiter.snapshot();
    accounts.iter().map(|one| one.key.to_string()).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn headers(rows: &[(&str, &str)]) -> Vec<Request<Body>> {
    rows.iter()
        .map(|&(name, value)| of_model(post().header(name, value), "m"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn by_api_key_in_every_usual_header() {
    let one_caller = [
        ("authorization", "Bearer sk-1"),
        ("authorization", "bearer  sk-1"),
        ("x-api-key", "sk-1"),
        ("api-key", "sk-1"),
    ];
    assert_eq!(accounts(KeyOf::api_key(), headers(&one_caller)).await, 1);
    let two = [
        ("authorization", "Bearer sk-1"),
        ("authorization", "Bearer sk-2"),
    ];
    assert_eq!(accounts(KeyOf::api_key(), headers(&two)).await, 2);
    let none = [("x-other", "sk-1"), ("x-other", "sk-2")];
    assert_eq!(
        shown(KeyOf::api_key(), headers(&none)).await,
        set(["anyone"])
    );
}

#[tokio::test(start_paused = true)]
async fn by_header() {
    let by = || KeyOf::header(HeaderName::from_static("x-tenant"));
    let rows = [("x-tenant", "a"), ("x-tenant", "a"), ("x-tenant", "b")];
    assert_eq!(accounts(by(), headers(&rows)).await, 2);
    let others = [("x-other", "a"), ("x-other", "b")];
    assert_eq!(accounts(by(), headers(&others)).await, 1);
    for name in shown(by(), headers(&rows)).await {
        assert!(name.starts_with('#') && name.len() == 9, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn by_path_without_the_query() {
    let at = |path: &str| Request::get(path).body(Body::default()).unwrap();
    let requests = vec![at("/a?key=secret"), at("/a"), at("/b")];
    assert_eq!(shown(KeyOf::path(), requests).await, set(["/a", "/b"]));
    let long = |end: &str| at(&format!("/{}{end}", "x".repeat(500)));
    let names = shown(KeyOf::path(), vec![long("1"), long("2"), long("1")]).await;
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == 9), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn by_peer_address() {
    fn from(address: &str) -> Request<Body> {
        let address: SocketAddr = address.parse().unwrap();
        of_model(post().extension(address), "m")
    }
    let requests = || {
        vec![
            from("10.0.0.1:1"),
            from("10.0.0.1:2"),
            from("[::ffff:10.0.0.1]:3"),
            from("[2001:db8::1]:1"),
            from("[2001:db8::2:3:4:5]:1"),
            from("[2001:db8:0:1::1]:1"),
        ]
    };
    assert_eq!(
        shown(KeyOf::peer(), requests()).await,
        set(["10.0.0.1", "2001:db8::/64", "2001:db8:0:1::/64"])
    );
    assert_eq!(
        shown(KeyOf::peer().ipv6_prefix(48), requests()).await,
        set(["10.0.0.1", "2001:db8::/48"])
    );
    let bare = of_model(post().extension("10.0.0.2".parse::<IpAddr>().unwrap()), "m");
    assert_eq!(shown(KeyOf::peer(), vec![bare]).await, set(["10.0.0.2"]));
    let forwarded = KeyOf::peer_by(|head| {
        let value = head.headers().get("x-forwarded-for")?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse().ok()
    });
    let request = headers(&[("x-forwarded-for", "1.1.1.1, 10.0.0.3")]);
    assert_eq!(shown(forwarded, request).await, set(["10.0.0.3"]));
}

#[tokio::test(start_paused = true)]
async fn by_the_tenant_that_auth_has_found() {
    #[derive(Clone)]
    struct Tenant(Arc<str>);

    impl AsRef<str> for Tenant {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }

    let of = |name: &str| of_model(post().extension(Tenant(name.into())), "m");
    let requests = vec![of("acme"), of("acme"), of("umbrella")];
    let by = KeyOf::extension::<Tenant>();
    assert_eq!(shown(by, requests).await, set(["acme", "umbrella"]));
}

#[tokio::test(start_paused = true)]
async fn by_model() {
    let requests = || {
        vec![
            of_model(post().header("x-api-key", "1"), "qwen-plus"),
            of_model(post().header("x-api-key", "2"), "qwen-plus"),
            of_model(post().header("x-api-key", "2"), "qwen-max"),
        ]
    };
    assert_eq!(
        shown(KeyOf::model(), requests()).await,
        set(["anyone qwen-plus", "anyone qwen-max"])
    );
    assert_eq!(accounts(KeyOf::api_key(), requests()).await, 2);
    assert_eq!(accounts(KeyOf::api_key().and_model(), requests()).await, 3);
    let long = |end: &str| of_model(post(), &format!("{}{end}", "x".repeat(100)));
    let names = shown(KeyOf::model(), vec![long("1"), long("2")]).await;
    assert_eq!(names.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn by_closure() {
    let by = || {
        KeyOf::by(|head| {
            let plan = head.headers().get("x-plan")?.to_str().ok()?;
            match plan {
                "free" => Some(Key::tenant("free").with_model("any")),
                "secret" => Some(head.hashed(plan.as_bytes())),
                _ => Some(Key::tenant(plan)),
            }
        })
    };
    let requests = || headers(&[("x-plan", "free"), ("x-plan", "pro"), ("x-other", "")]);
    assert_eq!(
        shown(by(), requests()).await,
        set(["anyone", "free any", "pro"])
    );
    assert_eq!(
        shown(by().and_model(), requests()).await,
        set(["anyone m", "free any", "pro m"])
    );
    let hashed = shown(by(), headers(&[("x-plan", "secret")])).await;
    assert!(hashed.first().unwrap().starts_with('#'));
}

#[tokio::test(start_paused = true)]
async fn the_first_source_that_a_request_has() {
    let by = KeyOf::api_key().or(KeyOf::peer()).or(KeyOf::path());
    let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let requests = vec![
        of_model(post().header("x-api-key", "1").extension(address), "m"),
        of_model(post().extension(address), "m"),
        of_model(post(), "m"),
    ];
    let names = shown(by, requests).await;
    assert_eq!(names.len(), 3);
    assert!(
        names.contains("10.0.0.1") && names.contains(CHAT),
        "{names:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn layers_that_share_a_limiter_share_its_callers() {
    let limiter = limiter();
    for _ in 0..2 {
        let request = of_model(post().header("x-api-key", "1"), "m");
        send(&limiter, &KeyOf::api_key(), request).await;
    }
    assert_eq!(limiter.snapshot().len(), 1);
    assert_eq!(limiter.snapshot()[0].requests.used, 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_at_a_server_is_no_account_at_a_provider() {
    let limiter = limiter();
    let key_of = KeyOf::by(|_| Some(Key::new("http://host", "m")));
    send(&limiter, &key_of, of_model(post(), "m")).await;
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let client = AdmissionLayer::new(limiter.clone()).layer(handler);
    let request = of_model(Request::post(format!("http://host{CHAT}")), "m");
    client.oneshot(request).await.unwrap();
    assert_eq!(limiter.snapshot().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_ever_shown() {
    const SECRET: &str = "sk-very-secret";
    let limiter = Limiter::new(Quota::per_minute(1, 1_000_000));
    let by = KeyOf::api_key().or(KeyOf::header(HeaderName::from_static("x-tenant")));
    let layer = EnforceLayer::new(limiter.clone(), by.clone());
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::default()))
    });
    let mut server = layer.layer(handler);
    let mut said = format!("{layer:?} {by:?} {limiter:?}");
    for (name, value) in [
        ("authorization", format!("Bearer {SECRET}")),
        ("authorization", format!("Basic {SECRET}")),
        ("x-api-key", SECRET.to_owned()),
        ("x-tenant", SECRET.to_owned()),
    ] {
        for _ in 0..2 {
            let uri = format!("{CHAT}?key={SECRET}");
            let request = of_model(Request::post(uri).header(name, &value), "m");
            let future = ServiceExt::<Request<Body>>::ready(&mut server)
                .await
                .unwrap()
                .call(request);
            said += &format!("{future:?}");
            let answer = future.await.unwrap();
            said += &format!("{answer:?}");
            if let Some(rejection) = answer.extensions().get::<Rejection>() {
                said += &format!("{rejection} {rejection:?} {}", rejection.key());
            }
            said += std::str::from_utf8(
                &http_body_util::BodyExt::collect(answer.into_body())
                    .await
                    .unwrap()
                    .to_bytes(),
            )
            .unwrap();
        }
    }
    said += &format!("{:?} {:?} {limiter:?}", limiter.snapshot(), layer.counts());
    assert!(said.contains('#') && said.contains("limit_requests"));
    assert!(!said.contains("secret"), "{said}");
}
