//! Accounts of the provider by name: each has its own quota, and a limit of one request's wait.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AdmissionLayer, BoxError, Cost, Key, Limiter, OutputLimit, Quota, RejectKind, Rejected,
};
use tower_qwen_tokens::{
    AccountId, Call, NotSent,
    call::{AccountOf, MaxWait, PredictWait, ReadCall, ReadOptions},
    internal::clock::now,
};

type Body = Full<Bytes>;

const ORIGIN: &str = "https://host";
const PROMPT: &str =
    r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":100}"#;

fn request(account: &str) -> Request<Body> {
    let request = Request::post(format!("{ORIGIN}/compatible-mode/v1/chat/completions"));
    let mut request = request.body(Body::from(PROMPT)).expect("a request");
    if !account.is_empty() {
        request.extensions_mut().insert(AccountId::new(account));
    }
    request
}

/// The provider throttles the account without a name for 40 s.
async fn send(layer: &AdmissionLayer, request: Request<Body>) -> Result<StatusCode, BoxError> {
    let provider = service_fn(|request: Request<Body>| async move {
        let mut answer = Response::new(Body::from("{}"));
        if request.extensions().get::<AccountId>().is_none() {
            *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let wait = "40".parse().expect("a header");
            answer.headers_mut().insert("retry-after", wait);
        }
        Ok::<_, BoxError>(answer)
    });
    Ok(layer.layer(provider).oneshot(request).await?.status())
}

fn admission(limiter: &Limiter) -> AdmissionLayer {
    AdmissionLayer::new(limiter.clone())
}

#[tokio::test(start_paused = true)]
async fn a_throttle_closes_the_account_that_the_call_names_and_no_other() {
    let limiter = Limiter::new(Quota::per_minute(600, 600_000));
    let (layer, start) = (admission(&limiter), now());
    let status = send(&layer, request("")).await.expect("an answer");
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let status = send(&layer, request("second")).await.expect("an answer");
    assert_eq!((status, now() - start), (StatusCode::OK, Duration::ZERO));

    let mut shown: Vec<_> = limiter
        .snapshot()
        .iter()
        .map(|it| it.key.to_string())
        .collect();
    shown.sort();
    assert_eq!(
        shown,
        ["https://host qwen-plus", "https://host qwen-plus (second)"]
    );
    let predicted =
        |id| limiter.predicted_wait(&AccountOf::new("https", "host", "qwen-plus", id), None);
    let closed = predicted("").expect("it opens again");
    assert!((39..=41).contains(&closed.as_secs()), "{closed:?}");
    assert_eq!(predicted("second"), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_rejected_at_once_if_it_would_wait_for_longer_than_it_says() {
    let limiter = Limiter::new(Quota::per_minute(600, 600_000));
    let layer = admission(&limiter).max_wait(Duration::from_secs(30));
    send(&layer, request("")).await.expect("an answer");
    let start = now();
    for (own, layers) in [(10, 30), (10, 5), (60, 30)] {
        let layer = admission(&limiter).max_wait(Duration::from_secs(layers));
        let mut hasty = request("");
        hasty
            .extensions_mut()
            .insert(MaxWait(Duration::from_secs(own)));
        let error = send(&layer, hasty).await.expect_err("40 s are too long");
        let rejected = error.downcast::<Rejected>().expect("Admission's");
        assert_eq!(rejected.kind(), RejectKind::MaxWait);
        let not_sent = rejected
            .source()
            .and_then(|it| it.downcast_ref::<NotSent>());
        let wait = not_sent.expect("its source").predicted_wait();
        assert_eq!(wait, rejected.predicted_wait());
        assert!(wait >= Some(Duration::from_secs(39)), "{wait:?}");
    }
    assert_eq!(now(), start, "nobody has waited");
    let mut patient = request("");
    patient
        .extensions_mut()
        .insert(MaxWait(Duration::from_secs(50)));
    let status = send(&admission(&limiter), patient)
        .await
        .expect("an answer");
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(now() - start >= Duration::from_secs(39));
}

#[tokio::test(start_paused = true)]
async fn the_predicted_wait_is_that_of_the_next_call() {
    let limiter = Limiter::new(Quota::per_minute(60, 1_000));
    let account = AccountOf::new("https", "host", "qwen-plus", "");
    assert_eq!(limiter.predicted_wait(&account, None), Some(Duration::ZERO));
    let key = Key::new(ORIGIN, "qwen-plus");
    let held = limiter.try_acquire(&key, Cost::new(10, OutputLimit::AtMost(10)));
    let wait = limiter.predicted_wait(&account, None).expect("it flows in");
    assert!((900..=1_100).contains(&wait.as_millis()), "{wait:?}");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_window_has_no_predicted_wait() {
    let read = ReadCall::new(request(""), &ReadOptions::default()).await;
    let read = read.expect("a readable call");
    let call = Call::of(&read).map(AsRef::as_ref);
    let account = AccountOf::new("https", "host", "qwen-plus", "");
    let predicted = |tokens| {
        let limiter = Limiter::new(Quota::per_minute(60, tokens));
        limiter.predicted_wait(&account, call)
    };
    assert_eq!(predicted(2), None);
    assert_eq!(predicted(1_000), Some(Duration::ZERO));
}
