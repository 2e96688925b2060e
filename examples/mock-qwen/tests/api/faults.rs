//! What goes wrong when it is told to.

use http_body_util::BodyExt;
use mock_qwen::{Config, Faults, MockQwen};
use serde_json::{Value, json};

use crate::support::{COMPATIBLE, NATIVE, call, chat, instant, post, prompt_of, read};

fn faulty(faults: Faults) -> MockQwen {
    MockQwen::new(Config {
        faults,
        output_tokens: 1_000,
        ..instant()
    })
}

fn streamed() -> Value {
    let mut body = chat("hello");
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    body["max_tokens"] = json!(40);
    body
}

fn native() -> Value {
    json!({
        "model": "m",
        "input": { "prompt": "hello" },
        "parameters": { "max_tokens": 40, "incremental_output": true },
    })
}

#[tokio::test(start_paused = true)]
async fn no_capacity() {
    let mock = faulty(Faults {
        unavailable: 1.0,
        ..Faults::default()
    });
    let (status, _, body) = call(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 503);
    assert_eq!(body["error"]["code"], "ServiceUnavailable");
    assert_eq!(body["error"]["type"], "ServiceUnavailable");
    let message = body["error"]["message"].as_str().expect("text");
    assert!(message.starts_with("<503> InternalError.Algo: ") && message.contains("Too many"));
    let (status, _, body) = call(&mock, NATIVE, &native()).await;
    assert_eq!(status, 503);
    assert_eq!(body["code"], "ModelServingError");
    let stats = mock.stats();
    assert_eq!(
        (stats.seen, stats.accepted, stats.faults.unavailable),
        (2, 0, 2)
    );
    assert_eq!(stats.utilisation.highest_window.requests, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_500_with_a_throttle_inside() {
    let mock = faulty(Faults {
        throttle_500: 1.0,
        ..Faults::default()
    });
    let (status, headers, body) = call(&mock, COMPATIBLE, &chat("hello")).await;
    assert_eq!(status, 500);
    let id = headers["x-request-id"].to_str().expect("text");
    assert_eq!(
        body,
        json!({
            "error": {
                "code": "ServiceUnavailable",
                "message": "<503> InternalError.Algo: An error occurred in model serving, error \
                            message is: [Too many requests. Your requests are being throttled \
                            due to system capacity limits. Please try again later.]",
                "type": "ServiceUnavailable",
            },
            "id": format!("chatcmpl-{id}"),
            "request_id": id,
        })
    );
    let (status, _, body) = call(&mock, NATIVE, &native()).await;
    assert_eq!(status, 500);
    assert_eq!(body["code"], "ServiceUnavailable");
    let message = body["message"].as_str().expect("text");
    assert!(message.starts_with("Too many requests. Your requests are being throttled"));
    assert_eq!(
        post(&mock, COMPATIBLE, &[], &streamed()).await.status(),
        500,
        "before any stream"
    );
    let stats = mock.stats();
    assert_eq!(
        (stats.seen, stats.accepted, stats.throttled.total()),
        (3, 0, 0)
    );
    assert_eq!(
        (stats.faults.throttle_500, stats.faults.unavailable),
        (3, 0)
    );
    assert_eq!(stats.utilisation.highest_window.requests, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_500s_leaves_the_other_calls_alone() {
    let mock = faulty(Faults {
        throttle_500: 0.3,
        ..Faults::default()
    });
    let mut refused = 0;
    for _ in 0..200 {
        let status = call(&mock, COMPATIBLE, &chat("hello")).await.0.as_u16();
        assert!([200, 500].contains(&status), "{status}");
        refused += u64::from(status == 500);
    }
    assert!((40..80).contains(&refused), "{refused}");
    let stats = mock.stats();
    assert_eq!(stats.faults.throttle_500, refused);
    assert_eq!(stats.completed, 200 - refused);
}

#[tokio::test(start_paused = true)]
async fn a_connection_breaks() {
    let mock = faulty(Faults {
        reset: 1.0,
        ..Faults::default()
    });
    for body in [streamed(), chat("hello")] {
        let response = post(&mock, COMPATIBLE, &[], &body).await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut data = Vec::new();
        let broken = loop {
            match body.frame().await {
                Some(Ok(frame)) => data.extend_from_slice(frame.data_ref().expect("data")),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broken && !data.is_empty());
        assert!(!String::from_utf8_lossy(&data).contains("[DONE]"));
    }
    let stats = mock.stats();
    assert_eq!(
        (stats.faults.reset, stats.completed, stats.in_flight),
        (2, 0, 0)
    );
    assert_eq!(stats.unfinished.prompt, 2 * prompt_of("hello"));
    assert!(
        stats.unfinished.output > 20,
        "half of the stream, and the whole answer"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream() {
    let mock = faulty(Faults {
        stream_error: 1.0,
        ..Faults::default()
    });
    let (mut first, mut later) = (0, 0);
    for number in 0..40 {
        let compatible = number % 2 == 0;
        let (path, body) = if compatible {
            (COMPATIBLE, streamed())
        } else {
            (NATIVE, native())
        };
        let response = post(&mock, path, &[("accept", "text/event-stream")], &body).await;
        assert_eq!(response.status(), 200);
        let text = read(response).await;
        let events: Vec<&str> = text.trim_end().split("\n\n").collect();
        let (last, before) = events.split_last().expect("an event");
        let tail = last
            .split_once("event:error\n:HTTP_STATUS/429\ndata:")
            .expect("an error");
        let data: Value = serde_json::from_str(tail.1).expect("JSON");
        assert_eq!(data["code"], "Throttling.AllocationQuota");
        match before.len() {
            0 => {
                assert!(tail.0 == "id:1\n");
                first += 1;
            }
            // 20 tokens by 4, and what a compatible stream opens with.
            count => {
                assert_eq!(count, if compatible { 6 } else { 5 });
                assert_eq!(tail.0, "id:6\n");
                later += 1;
            }
        }
    }
    assert!(first > 5 && later > 5, "{first} {later}");
    let stats = mock.stats();
    assert_eq!((stats.faults.stream_error, stats.accepted), (40, 40));
    assert_eq!(stats.unfinished.output, 20 * later);
    assert_eq!(
        call(&mock, COMPATIBLE, &chat("hello")).await.0,
        200,
        "only streams have it"
    );
}

#[tokio::test(start_paused = true)]
async fn no_word_about_usage() {
    let mock = faulty(Faults {
        no_usage: 1.0,
        ..Faults::default()
    });
    assert!(
        call(&mock, COMPATIBLE, &chat("hello"))
            .await
            .2
            .get("usage")
            .is_none()
    );
    assert!(
        call(&mock, NATIVE, &native())
            .await
            .2
            .get("usage")
            .is_none()
    );
    let text = read(post(&mock, COMPATIBLE, &[], &streamed()).await).await;
    assert!(!text.contains("prompt_tokens") && text.ends_with("data: [DONE]\n\n"));
    let header = [("x-dashscope-sse", "enable")];
    let text = read(post(&mock, NATIVE, &header, &native()).await).await;
    assert!(!text.contains("usage") && text.contains("\"length\""));
    let stats = mock.stats();
    assert_eq!((stats.faults.no_usage, stats.completed), (4, 4));
    assert!(stats.tokens.output > 0);
}
