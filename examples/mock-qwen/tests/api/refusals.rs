//! The bodies of refusals.

use http::StatusCode;
use mock_qwen::{Charge, Config, Growth, MockQwen, Models};
use serde_json::{Value, json};

use crate::support::{COMPATIBLE, NATIVE, ask, call, chat, instant, post, prompt_of, read};

fn native_chat(text: &str) -> Value {
    json!({ "model": "qwen-plus", "input": { "messages": [{ "role": "user", "content": text }] } })
}

/// The answer to the second of two calls, its ids checked and taken out.
async fn second(config: Config, path: &str, body: &Value) -> (StatusCode, Value) {
    let mock = MockQwen::new(config);
    call(&mock, path, body).await;
    refused(&mock, path, body).await
}

async fn refused(mock: &MockQwen, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, headers, mut answer) = call(mock, path, body).await;
    let fields = answer.as_object_mut().expect("an object");
    let id = fields.remove("request_id").expect("an id");
    assert_eq!(headers["x-request-id"], id.as_str().expect("text"));
    if path == COMPATIBLE {
        let chat = fields.remove("id").expect("an id");
        assert_eq!(chat, format!("chatcmpl-{}", id.as_str().expect("text")));
    }
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("retry-after"));
    (status, answer)
}

#[tokio::test(start_paused = true)]
async fn throttled_requests() {
    let config = || Config {
        rpm: 1,
        ..instant()
    };
    let (status, body) = second(config(), COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({ "error": {
            "code": "limit_requests",
            "message": "You have exceeded your current request limit. For details, see: \
                        https://help.aliyun.com/zh/model-studio/error-code#rate-limit",
            "param": null,
            "type": "limit_requests",
        }})
    );
    let (status, body) = second(config(), NATIVE, &native_chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({
            "code": "Throttling.RateQuota",
            "message": "Requests rate limit exceeded, please try again later.",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn throttled_tokens() {
    let config = || Config {
        tpm: prompt_of("hello") + 1,
        ..instant()
    };
    let (status, body) = second(config(), COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({ "error": {
            "code": "insufficient_quota",
            "message": "You exceeded your current quota, please check your plan and billing \
                        details. For details, see: \
                        https://help.aliyun.com/zh/model-studio/error-code#token-limit",
            "param": null,
            "type": "insufficient_quota",
        }})
    );
    let (status, body) = second(config(), NATIVE, &native_chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({
            "code": "Throttling.AllocationQuota",
            "message": "Allocated quota exceeded, please increase your quota limit.",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn throttled_per_second() {
    // A slice has as much room as a call takes, and the window has a lot more.
    for (rpm, tpm, compatible, native) in [
        (60, 800_000, "limit_requests", "Throttling.RateQuota"),
        (800, 60, "insufficient_quota", "Throttling.AllocationQuota"),
    ] {
        let config = || Config {
            rpm,
            tpm,
            per_second: true,
            slice_burst: 1.0,
            ..instant()
        };
        let (status, body) = second(config(), COMPATIBLE, &chat("hello")).await;
        assert_eq!(
            (status.as_u16(), &body["error"]["code"]),
            (429, &json!(compatible))
        );
        let (status, body) = second(config(), NATIVE, &native_chat("hello")).await;
        assert_eq!((status.as_u16(), &body["code"]), (429, &json!(native)));
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_growth() {
    let config = || Config {
        growth: Some(Growth {
            floor: 1,
            ..Growth::default()
        }),
        ..instant()
    };
    let message = "Request rate increased too quickly. To ensure system stability, please adjust \
                   your client logic to scale requests more smoothly over time.";
    let (status, body) = second(config(), COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({ "error": {
            "code": "limit_burst_rate",
            "message": message,
            "param": null,
            "type": "limit_burst_rate",
        }})
    );
    let (status, body) = second(config(), NATIVE, &native_chat("hello")).await;
    assert_eq!(status, 429);
    assert_eq!(
        body,
        json!({ "code": "Throttling.BurstRate", "message": message })
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_window() {
    let prompt = prompt_of("hello");
    let never = MockQwen::new(Config {
        tpm: prompt,
        charge: Charge::Start,
        retry_after: mock_qwen::RetryAfter::Seconds,
        ..instant()
    });
    let (status, body) = refused(&never, COMPATIBLE, &chat("hello")).await;
    assert_eq!(
        (status.as_u16(), &body["error"]["code"]),
        (429, &json!("insufficient_quota"))
    );
    assert_eq!(never.stats().throttled.tokens, 1);

    let too_long = MockQwen::new(Config {
        tpm: prompt - 1,
        ..instant()
    });
    let (status, body) = refused(&too_long, NATIVE, &native_chat("hello")).await;
    assert_eq!(status, 400);
    let message = format!("Range of input length should be [1, {}]", prompt - 1);
    assert_eq!(
        body,
        json!({ "code": "InvalidParameter", "message": message })
    );
    assert_eq!(too_long.stats().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_where_one_is_needed() {
    let mock = MockQwen::new(Config {
        require_key: true,
        ..instant()
    });
    let (status, body) = refused(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 401);
    assert_eq!(body["error"]["code"], "invalid_api_key");
    let (status, body) = refused(&mock, NATIVE, &native_chat("hello")).await;
    assert_eq!(status, 401);
    assert_eq!(body["code"], "InvalidApiKey");
    for wrong in ["sk-1", "Bearer ", "Basic sk-1"] {
        let header = [("authorization", wrong)];
        assert_eq!(
            post(&mock, COMPATIBLE, &header, &chat("hello"))
                .await
                .status(),
            401
        );
    }
    let header = [("authorization", "Bearer sk-1")];
    assert_eq!(
        post(&mock, COMPATIBLE, &header, &chat("hello"))
            .await
            .status(),
        200
    );
    assert_eq!((mock.stats().rejected, mock.stats().accepted), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense() {
    let mock = MockQwen::new(instant());
    let mut cases = vec![
        json!("not an object"),
        json!({ "messages": [{ "role": "user", "content": "hello" }] }),
        json!({ "model": "m" }),
        json!({ "model": "m", "messages": [] }),
        json!({ "model": "m", "messages": "hello" }),
        json!({ "model": "m", "messages": [{ "role": "robot", "content": "hello" }] }),
        json!({ "model": "m", "messages": [{ "role": "user", "content": "" }] }),
    ];
    for (name, value) in [
        ("max_tokens", json!(0)),
        ("max_tokens", json!(32_769)),
        ("max_completion_tokens", json!("many")),
        ("n", json!(2)),
    ] {
        let mut body = chat("hello");
        body[name] = value;
        cases.push(body);
    }
    for body in &cases {
        let (status, answer) = refused(&mock, COMPATIBLE, body).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
    assert_eq!(mock.stats().rejected, cases.len() as u64);
    assert_eq!(ask(&mock, "hello").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_native_stream_tells_of_a_bad_parameter_inside_a_200() {
    let mock = MockQwen::new(instant());
    let body =
        json!({ "model": "m", "input": { "messages": [{ "role": "user", "content": "" }] } });
    let response = post(&mock, NATIVE, &[("x-dashscope-sse", "enable")], &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream;charset=UTF-8"
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    let text = read(response).await;
    let data = text
        .strip_prefix("id:1\nevent:error\n:HTTP_STATUS/400\ndata:")
        .and_then(|text| text.strip_suffix("\n\n"))
        .expect("an error event");
    let data: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        data,
        json!({
            "code": "InvalidParameter",
            "message": "Role must be user or assistant and Content length must be greater than 0",
            "request_id": id,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_not_there() {
    let config = Config {
        models: Models::Listed(vec!["qwen-max".to_owned()]),
        ..instant()
    };
    let mock = MockQwen::new(config);
    let (status, body) = refused(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        body["error"],
        json!({
            "code": "model_not_found",
            "message": "The model `qwen-plus` does not exist or you do not have access to it.",
            "param": null,
            "type": "invalid_request_error",
        })
    );
    let (status, body) = refused(&mock, NATIVE, &native_chat("hello")).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::NOT_FOUND, &json!("ModelNotFound"))
    );
    let mut there = chat("hello");
    there["model"] = json!("qwen-max");
    let (status, _, _) = call(&mock, COMPATIBLE, &there).await;
    assert_eq!(status, StatusCode::OK);
}
