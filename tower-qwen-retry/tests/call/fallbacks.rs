//! Other targets, in the order the user gives.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::{Request, StatusCode};
use tower_qwen_retry::{Fallback, RetryEvent, RetryPolicy};
use tower_qwen_tokens::{Call, Cause, PlanUsedUp};

use crate::support::{
    Answer, PROMPT, RequestBody, Run, answer, broken, bytes, ms, ok, request, run, throttled,
    with_header,
};

fn free_tier() -> Answer {
    answer(
        403,
        r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted.","request_id":"1"}"#,
    )
}

fn bad_key() -> Answer {
    answer(
        401,
        r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
    )
}

fn policy() -> RetryPolicy {
    RetryPolicy::default()
        .fallback(Fallback::new("smaller").model("qwen-flash"))
        .fallback(
            Fallback::new("Singapore")
                .base_url("https://dashscope-intl.aliyuncs.com/compatible-mode/v1")
                .and_then(|fallback| fallback.key("sk-2"))
                .expect("a valid target"),
        )
}

fn keyed() -> Request<RequestBody> {
    let mut request = request();
    let headers = request.headers_mut();
    headers.insert("authorization", "Bearer sk-1".parse().expect("a value"));
    headers.insert("content-length", PROMPT.len().into());
    request
}

/// Where the attempts went, by host, key, model of the call and body.
async fn targets(run: Run) -> Vec<(String, String, String, String)> {
    let mut targets = Vec::new();
    for (_, sent) in run.sent {
        let host = sent.uri().to_string();
        let key = sent.headers()["authorization"]
            .to_str()
            .expect("text")
            .to_owned();
        let call = Call::of(&sent).expect("a call");
        let model = call.model_call().expect("a model's").model.to_string();
        let length = sent.headers()["content-length"]
            .to_str()
            .expect("text")
            .to_owned();
        let body = bytes(sent.into_body()).await;
        assert_eq!(length, body.len().to_string());
        targets.push((
            host,
            key,
            model,
            String::from_utf8(body.to_vec()).expect("text"),
        ));
    }
    targets
}

#[tokio::test(start_paused = true)]
async fn after_a_permanent_cause_the_call_goes_to_the_next_target() {
    let script = vec![Ok(free_tier()), Ok(bad_key()), Ok(ok())];
    let run = run(policy(), keyed(), script).await;
    assert_eq!(run.status(), StatusCode::OK);
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (3, Some("Singapore"))
    );
    assert_eq!((run.attempts().waited, run.took), (ms(0), ms(0)));
    let own = "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions";
    let far = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions";
    let other = PROMPT.replace("qwen-plus", "qwen-flash");
    let expected = [
        (own, "Bearer sk-1", "qwen-plus", PROMPT),
        (own, "Bearer sk-1", "qwen-flash", &other),
        (far, "Bearer sk-2", "qwen-plus", PROMPT),
    ];
    let expected = expected.map(|(uri, key, model, body)| {
        (
            uri.to_owned(),
            key.to_owned(),
            model.to_owned(),
            body.to_owned(),
        )
    });
    assert_eq!(targets(run).await, expected);
}

#[tokio::test(start_paused = true)]
async fn causes_that_no_target_can_help_return() {
    let invalid = answer(
        400,
        r#"{"error":{"code":"invalid_parameter_error","message":"x"}}"#,
    );
    let run = run(policy(), keyed(), vec![Ok(invalid)]).await;
    assert_eq!(
        (run.status().as_u16(), run.attempts().target.as_deref()),
        (400, None)
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_last_target_the_last_answer_returns() {
    let script = vec![Ok(free_tier()), Ok(free_tier()), Ok(bad_key())];
    let run = run(policy(), keyed(), script).await;
    assert_eq!(
        (run.status().as_u16(), run.attempts().target.as_deref()),
        (401, Some("Singapore"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_hint_above_the_maximum_is_a_permanent_cause() {
    let script = vec![
        Ok(with_header(throttled(), "retry-after", "3600")),
        Ok(ok()),
    ];
    let run = run(policy(), keyed(), script).await;
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (2, Some("smaller"))
    );
}

#[tokio::test(start_paused = true)]
async fn used_up_retries_fall_back_only_if_set() {
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    let twice = RetryPolicy::default().max_attempts(2);
    let plain = twice
        .clone()
        .fallback(Fallback::new("smaller").model("qwen-flash"));
    let returned = run(plain, keyed(), vec![reset(), reset()]).await;
    assert!(returned.result.is_err());

    let willing = twice.fallback(Fallback::new("smaller").model("qwen-flash").after_retries());
    let script = vec![Ok(broken()), reset(), Ok(broken()), Ok(ok())];
    let run = run(willing, keyed(), script).await;
    let attempts = run.attempts();
    assert_eq!(
        (attempts.number, attempts.target.as_deref()),
        (4, Some("smaller")),
        "each target has attempts of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_rewritten_skips_the_target() {
    let mut signed = keyed();
    signed
        .headers_mut()
        .insert("content-digest", "sha-256=:x:".parse().expect("a value"));
    let run = run(policy(), signed, vec![Ok(free_tier()), Ok(ok())]).await;
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (2, Some("Singapore"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_retry_of_an_outer_retrier_does_not_fall_back() {
    let mut nested = keyed();
    let count = "1".parse().expect("a value");
    nested
        .headers_mut()
        .insert("x-stainless-retry-count", count);
    let run = run(policy(), nested, vec![Ok(free_tier())]).await;
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (1, None)
    );
}

#[tokio::test(start_paused = true)]
async fn with_one_attempt_per_target_a_call_still_falls_back() {
    let run = run(
        policy().max_attempts(1),
        keyed(),
        vec![Ok(bad_key()), Ok(ok())],
    )
    .await;
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (2, Some("smaller"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_observed() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&events);
    let policy = policy().observe(move |event: &RetryEvent<'_>| {
        if let RetryEvent::Fallback {
            model, cause, to, ..
        } = *event
        {
            let mut events = observer.lock().expect("unbroken");
            events.push((model.to_owned(), cause, to.to_owned()));
        }
    });
    run(
        policy,
        keyed(),
        vec![Ok(free_tier()), Ok(bad_key()), Ok(ok())],
    )
    .await;
    let expected = [
        ("qwen-plus", Some(Cause::FreeTier), "smaller"),
        ("qwen-flash", Some(Cause::Unauthorized), "Singapore"),
    ];
    let expected = expected.map(|(model, cause, to)| (model.to_owned(), cause, to.to_owned()));
    assert_eq!(*events.lock().expect("unbroken"), expected);
}

/// What Admission inside says of an account that is closed: the plan is the source of its own error.
#[derive(Debug)]
struct Closed(PlanUsedUp);

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the account is closed")
    }
}

impl std::error::Error for Closed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_used_up_is_permanent_and_a_fallback_takes_over_at_once() {
    let closed = || Err(Closed(PlanUsedUp::new(None)).into());
    let alone = run(RetryPolicy::default(), request(), vec![closed()]).await;
    let error = alone.result.expect_err("no retry, no fallback");
    assert!(error.is::<Closed>(), "{error}");

    let run = run(policy(), keyed(), vec![closed(), closed(), Ok(ok())]).await;
    assert_eq!(run.status(), StatusCode::OK);
    // Two of the three were not sent.
    assert_eq!(
        (run.attempts().number, run.attempts().target.as_deref()),
        (1, Some("Singapore"))
    );
    assert_eq!(run.took, std::time::Duration::ZERO);
}
