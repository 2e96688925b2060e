//! The account's real limits, read from the provider and used.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use tower::ServiceExt;
use tower_qwen_ratelimit::{Limiter, Quota};
use tower_qwen_tokens::data::QuotaBook;

#[tokio::test]
async fn limits_of_the_account_become_quotas_of_models() {
    let provider = MockQwen::new(Config {
        rpm: 1_234,
        tpm: 567_890,
        quota_models: vec!["qwen-plus".into(), "qwen3-max".into()],
        ..Config::default()
    });
    let request = Request::get("http://mock/api/v1/quotas")
        .body(Body::empty())
        .unwrap();
    let answer = provider.router().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let book = QuotaBook::from_account(std::str::from_utf8(&text).unwrap()).unwrap();

    let cautious = Quota::per_minute(10, 10_000).headroom(5).slow_start(true);
    let limiter = Limiter::builder(cautious)
        .quotas(["qwen-plus", "qwen3-max", "not-listed"], &book)
        .build()
        .unwrap();
    for model in ["qwen-plus", "qwen3-max"] {
        let quota = limiter.quota_of(model);
        assert_eq!((quota.requests(), quota.tokens()), (1_234, 567_890));
        assert_eq!(
            quota,
            Quota::per_minute(1_234, 567_890)
                .headroom(5)
                .slow_start(true)
        );
    }
    assert_eq!(limiter.quota_of("not-listed"), cautious);
}
