//! The list of the account's limits.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen, QuotaList};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{instant, seconds};

fn of(models: &[&str]) -> Config {
    Config {
        quota_models: models.iter().map(|&model| model.to_owned()).collect(),
        ..instant()
    }
}

async fn get(mock: &MockQwen, path: &str, key: Option<&str>) -> (u16, Value) {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header("authorization", key);
    }
    let request = request.body(Body::empty()).expect("a valid request");
    let response = mock.router().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    assert_eq!(parts.headers["content-type"], "application/json");
    let body = body.collect().await.expect("a whole body").to_bytes();
    let mut body: Value = serde_json::from_slice(&body).expect("a JSON body");
    let id = body
        .as_object_mut()
        .expect("an object")
        .remove("request_id");
    assert_eq!(
        parts.headers["x-request-id"],
        id.expect("an id").as_str().expect("text")
    );
    (parts.status.as_u16(), body)
}

/// The models that a query finds, and of how many.
async fn found(mock: &MockQwen, query: &str) -> (Vec<String>, u64) {
    let (status, body) = get(mock, &format!("/api/v1/quotas{query}"), None).await;
    assert_eq!(status, 200);
    let output = &body["output"];
    let quotas = output["quotas"].as_array().expect("a list");
    let name = |quota: &Value| quota["model"].as_str().expect("text").to_owned();
    (
        quotas.iter().map(name).collect(),
        output["total"].as_u64().expect("a count"),
    )
}

#[tokio::test(start_paused = true)]
async fn the_limits_are_those_that_are_enforced() {
    for (window, period) in [(60, 60), (6, 6), (1, 1)] {
        let mock = MockQwen::new(Config {
            rpm: 30,
            tpm: 7_000,
            window: seconds(window),
            ..instant()
        });
        let expected = json!({ "output": {
            "total": 1,
            "page_no": 1,
            "page_size": 20,
            "quotas": [{
                "model": "qwen-plus",
                "workspace_id": "ws-mock",
                "model_limit": {
                    "request_limit": 30,
                    "request_limit_period": period,
                    "usage_limit": 7_000,
                    "usage_limit_field": "total_tokens",
                    "usage_limit_period": period,
                    "async_user_queue_limit": null,
                    "async_user_concurrency_limit": null,
                },
                "workspace_limit": null,
            }],
        }});
        for path in ["/api/v1/quotas", "/api/v1/models/limits"] {
            assert_eq!(get(&mock, path, None).await, (200, expected.clone()));
        }
        assert_eq!(mock.stats().seen, 0, "it is no call of a model");
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_found_by_name_and_by_part_of_it() {
    let mock = MockQwen::new(of(&["qwen-plus", "qwen-plus-latest", "qwen-max"]));
    let (models, total) = found(&mock, "").await;
    assert_eq!((models.len(), total), (3, 3));
    let (models, total) = found(&mock, "?model=qwen-plus").await;
    assert_eq!((models, total), (vec!["qwen-plus".to_owned()], 1));
    assert_eq!(found(&mock, "?name=plus").await.1, 2);
    assert_eq!(found(&mock, "?name=plus&model=qwen-max").await.1, 0);
    assert_eq!(found(&mock, "?model=other").await, (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn long_lists_come_by_pages() {
    let names: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
    let mock = MockQwen::new(Config {
        quota_models: names.clone(),
        ..instant()
    });
    assert_eq!(found(&mock, "").await, (names[..20].to_vec(), 25));
    assert_eq!(found(&mock, "?page_no=2").await, (names[20..].to_vec(), 25));
    let (models, _) = found(&mock, "?page_no=3&page_size=10").await;
    assert_eq!(models, names[20..]);
    for beyond in ["?page_no=3", "?page_no=18446744073709551615&page_size=100"] {
        assert_eq!(found(&mock, beyond).await, (vec![], 25));
    }
    for wrong in [
        "page_no=0",
        "page_no=x",
        "page_size=0",
        "page_size=101",
        "page_size=",
    ] {
        let (status, body) = get(&mock, &format!("/api/v1/quotas?{wrong}"), None).await;
        assert_eq!((status, &body["code"]), (400, &json!("InvalidParameter")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_where_one_is_needed() {
    let mock = MockQwen::new(Config {
        require_key: true,
        ..instant()
    });
    let (status, body) = get(&mock, "/api/v1/quotas", None).await;
    assert_eq!((status, &body["code"]), (401, &json!("InvalidApiKey")));
    let (status, _) = get(&mock, "/api/v1/quotas", Some("Bearer sk-1")).await;
    assert_eq!(status, 200);
    assert_eq!(mock.stats().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn the_list_can_be_closed_or_missing() {
    for (quota_list, expected) in [(QuotaList::Forbidden, 403), (QuotaList::Missing, 404)] {
        let mock = MockQwen::new(Config {
            quota_list,
            ..instant()
        });
        let request = Request::get("/api/v1/quotas").body(Body::empty());
        let answer = mock.router().oneshot(request.expect("valid")).await;
        assert_eq!(answer.expect("an answer").status(), expected);
        assert_eq!(mock.stats().rejected, 0, "it is no call of a model");
    }
}
