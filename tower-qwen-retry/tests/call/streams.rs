//! A stream that begins with an error is sent again; one that has brought content is the caller's.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use tower_qwen_retry::{BoxError, FirstEvent, RetryPolicy};
use tower_qwen_tokens::{Cause, Verdict};

use crate::support::{Answer, Run, bytes, ms, request, run, stream, streaming};

const ROLE: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TEXT: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
const THROTTLE: &str = "id:1\nevent:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.AllocationQuota\",\"message\":\"x\"}\n\n";
const INVALID: &str = "id:1\nevent:error\n:HTTP_STATUS/400\ndata:{\"code\":\"InvalidParameter\",\"message\":\"x\"}\n\n";

fn served() -> Answer {
    stream(&[ROLE, TEXT, TEXT, "data: [DONE]\n\n"], None)
}

fn cause(run: &Run) -> Option<Cause> {
    run.answer()
        .extensions()
        .get::<Verdict>()
        .map(Verdict::cause)
}

#[tokio::test(start_paused = true)]
async fn an_error_before_content_is_retried_wherever_it_is_cut() {
    let failing = [ROLE, THROTTLE].concat();
    for at in 0..=failing.len() {
        let (head, rest) = failing.split_at(at);
        let script = vec![Ok(stream(&[head, rest], None)), Ok(served())];
        let run = run(RetryPolicy::default(), streaming(), script).await;
        assert_eq!(run.attempts().number, 2, "cut at {at}");
        assert!(
            run.gaps()[0] >= ms(5_000),
            "a quota of tokens: {:?}",
            run.gaps()
        );
        assert_eq!(cause(&run), None);
        let body = run.result.expect("an answer").into_body();
        assert_eq!(
            bytes(body).await,
            [ROLE, TEXT, TEXT, "data: [DONE]\n\n"].concat()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_content_an_error_goes_to_the_caller_wherever_it_is_cut() {
    let failing = [ROLE, TEXT, THROTTLE].concat();
    for at in 0..=failing.len() {
        let (head, rest) = failing.split_at(at);
        let script = vec![Ok(stream(&[head, rest], None))];
        let run = run(RetryPolicy::default(), streaming(), script).await;
        assert_eq!(
            (run.attempts().number, cause(&run)),
            (1, None),
            "cut at {at}"
        );
        let body = run.result.expect("an answer").into_body();
        assert_eq!(bytes(body).await, failing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_retried_until_its_first_content() {
    let whole = [ROLE, TEXT].concat();
    for at in 0..=whole.len() {
        let broken = Ok(stream(&[&whole[..at]], Some("reset")));
        let is_over = at == whole.len();
        let script = if is_over {
            vec![broken]
        } else {
            vec![broken, Ok(served())]
        };
        let run = run(RetryPolicy::default(), streaming(), script).await;
        assert_eq!(run.attempts().number, 2 - u32::from(is_over), "cut at {at}");
        let body = run.result.expect("an answer").into_body().collect().await;
        assert_eq!(body.is_err(), is_over);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_returns_with_its_verdict_and_all_its_bytes() {
    let script = vec![Ok(stream(&[ROLE, INVALID], None))];
    let run = run(RetryPolicy::default(), streaming(), script).await;
    assert_eq!(
        (run.status().as_u16(), cause(&run)),
        (200, Some(Cause::InvalidRequest))
    );
    let body = run.result.expect("an answer").into_body();
    assert_eq!(bytes(body).await, [ROLE, INVALID].concat());
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_failing_streams_returns_whole() {
    let failing = || Ok(stream(&[THROTTLE], None));
    let policy = RetryPolicy::default().max_attempts(3);
    let run = run(policy, streaming(), vec![failing(), failing(), failing()]).await;
    assert_eq!(
        (run.attempts().number, cause(&run)),
        (3, Some(Cause::TokenRate))
    );
    let body = run.result.expect("an answer").into_body();
    assert_eq!(bytes(body).await, THROTTLE);
}

/// A stream whose only event comes late.
fn late(after: Duration, event: &'static str) -> Answer {
    let event = futures::stream::once(async move {
        tokio::time::sleep(after).await;
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(event.as_bytes())))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(BoxBody::new(StreamBody::new(event)))
        .expect("a valid answer")
}

#[tokio::test(start_paused = true)]
async fn headers_wait_a_second_by_default_or_as_set() {
    for (wait, expected) in [
        (None, ms(1_000)),
        (Some(ms(5_000)), ms(3_000)),
        (Some(ms(0)), ms(0)),
    ] {
        let policy = RetryPolicy::default();
        let policy = match wait {
            Some(wait) => policy.first_event(FirstEvent::within(wait)),
            None => policy,
        };
        let run = run(policy, streaming(), vec![Ok(late(ms(3_000), TEXT))]).await;
        assert!(
            run.took >= expected && run.took <= expected + ms(2),
            "{wait:?}: {:?}",
            run.took
        );
        let body = run.result.expect("an answer").into_body();
        assert_eq!(bytes(body).await, TEXT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_stream_does_not_wait_for_an_event() {
    let run = run(
        RetryPolicy::default(),
        request(),
        vec![Ok(late(ms(3_000), THROTTLE))],
    )
    .await;
    assert_eq!((run.took, run.attempts().number), (ms(0), 1));
    let once = RetryPolicy::default().max_attempts(1);
    let run = crate::support::run(once, streaming(), vec![Ok(late(ms(3_000), THROTTLE))]).await;
    assert_eq!(run.took, ms(0), "nothing would come of it");
}
