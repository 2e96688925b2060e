//! The golden file of verdicts, through Retry: what it says is transient is sent again, and nothing else.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use serde_json::Value;
use support::{ok, request, run, streaming};
use tower_qwen_retry::{RetryBudget, RetryPolicy};

#[tokio::test(start_paused = true)]
async fn what_the_golden_file_says_is_transient_is_sent_again() {
    let file = include_str!("../../tower-qwen-tokens/tests/data/verdicts.jsonl");
    let mut successes = 0;
    for line in file.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let Some(status) = row["status"].as_u64() else {
            continue;
        };
        let is_success = status == 200;
        successes += u32::from(is_success);
        // An answer as JSON, and one that is called a stream.
        for kind in ["application/json", "text/event-stream"] {
            // One with an error beside its choices is an answer.
            if is_success
                && row["body"]
                    .as_str()
                    .is_some_and(|body| body.contains("choices"))
            {
                continue;
            }
            let body = Full::new(Bytes::from(
                row["body"].as_str().expect("a body").to_owned(),
            ));
            let body = BoxBody::new(body.map_err(|never| match never {}));
            let mut answer = Response::builder().status(u16::try_from(status).expect("a status"));
            answer = answer.header("content-type", kind);
            let headers = row["headers"].as_object().into_iter().flatten();
            // Dates are read against the clock of the file.
            answer = answer.header("date", "Sun, 29 Nov 2026 12:00:00 GMT");
            for (name, value) in headers.filter(|(name, _)| *name != "date") {
                answer = answer.header(name, value.as_str().expect("a value"));
            }
            let answer = answer.body(body).expect("an answer");
            let is_retried = row["transient"] == true;
            let script = std::iter::once(Ok(answer)).chain(is_retried.then(|| Ok(ok())));
            let policy = RetryPolicy::default()
                .budget(RetryBudget::new(0, 10))
                .max_retry_after(Duration::from_secs(400 * 86_400));
            let request = if kind == "text/event-stream" {
                streaming()
            } else {
                request()
            };
            let run = run(policy, request, script.collect()).await;
            assert_eq!(run.status() == 200 && is_retried, is_retried, "{line}");
        }
    }
    assert!(successes >= 8, "{successes}");
}
