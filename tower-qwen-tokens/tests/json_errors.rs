//! Errors in JSON with a status of 200: the verdict, what is held back and for how long, and that no byte is lost.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use http::{Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::sleep;
use tower_qwen_tokens::{
    Cause, Verdict,
    classify::{ClassifyOptions, FirstEvent},
    internal::{
        RequestContext, classify,
        clock::{self, WallClock},
    },
};

const THROTTLE: &str = r#"{"error":{"code":429,"message":"Please try again in 7s."}}"#;
const ANSWER: &str = r#"{"id":"x","choices":[{"message":{"content":"Hi"}}],"usage":{}}"#;

fn holding() -> RequestContext {
    let options = ClassifyOptions::default().json_errors(true);
    RequestContext::default().by(options.first_event(FirstEvent::default()))
}

fn json<B>(body: B) -> Response<B> {
    let json = Response::builder().header("content-type", "application/json; charset=utf-8");
    json.body(body).expect("an answer")
}

/// A body of these pieces, each after a wait.
fn slow(pieces: Vec<(u64, String)>) -> impl Body<Data = Bytes, Error = Infallible> {
    let frames = stream::iter(pieces).then(|(millis, piece)| async move {
        sleep(Duration::from_millis(millis)).await;
        Ok(Frame::data(Bytes::from(piece)))
    });
    StreamBody::new(frames)
}

fn cause<B>(response: &Response<B>) -> Option<Cause> {
    response.extensions().get::<Verdict>().map(Verdict::cause)
}

#[test]
fn an_error_is_classified_for_every_cut_and_its_body_stays_whole() {
    for (text, expected) in [
        (THROTTLE, Some(Cause::Throttled)),
        (
            r#"{"code":"Throttling.RateQuota","message":"x"}"#,
            Some(Cause::RequestRate),
        ),
        (
            r#"[{"error":{"code":401,"message":"x"}}]"#,
            Some(Cause::Unauthorized),
        ),
        (
            " \n{\"error\": {\n \"code\": 429\n}\n}\n",
            Some(Cause::Throttled),
        ),
        (
            r#"{"code":50602,"message":"TPM limit reached.","data":null}"#,
            Some(Cause::TokenRate),
        ),
        (ANSWER, None),
        (r#"{"code":"Success","data":{}}"#, None),
        (r#"{"error":null,"status":"ok"}"#, None),
        (r#"{"choices":[],"error":{"code":429}}"#, None),
        ("plain text", None),
    ] {
        for at in 0..=text.len() {
            for kind in [
                "application/json",
                "text/event-stream",
                "application/problem+json",
            ] {
                // A stream that begins with a blank is told by its first bytes alone.
                if kind == "text/event-stream" && (text.starts_with(' ') || at == 0) {
                    continue;
                }
                let pieces = vec![(0, text[..at].to_owned()), (0, text[at..].to_owned())];
                let frames = pieces
                    .into_iter()
                    .map(|(_, piece)| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
                let mut response = json(StreamBody::new(stream::iter(frames)));
                response
                    .headers_mut()
                    .insert("content-type", kind.parse().expect("a value"));
                let response = holding().classify(response, &WallClock::new());
                let response = response.now_or_never().expect("nothing to wait for");
                assert_eq!(cause(&response), expected, "{text} {kind}, cut at {at}");
                assert_eq!(response.status(), StatusCode::OK);
                let body = response
                    .into_body()
                    .collect()
                    .now_or_never()
                    .expect("all there");
                assert_eq!(body.expect("a body").to_bytes(), text);
            }
        }
    }
}

#[tokio::test]
async fn headers_count_and_only_successes_are_held() {
    let mut hinted = json(Full::new(Bytes::from(r#"{"error":{"code":429}}"#)));
    hinted
        .headers_mut()
        .insert("retry-after", "9".parse().expect("a value"));
    let response = holding().classify(hinted, &WallClock::new()).await;
    let verdict = response.extensions().get::<Verdict>().expect("classified");
    assert_eq!(verdict.retry_after(), Some(Duration::from_secs(9)));

    let unasked = classify(json(Full::new(Bytes::from(THROTTLE))), &WallClock::new()).await;
    assert_eq!(cause(&unasked), None);
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_passes_with_the_first_member_that_shows_it() {
    let begun = clock::now();
    let (head, rest) = ANSWER.split_at(ANSWER.find('[').expect("choices") + 1);
    let body = slow(vec![(30, head.to_owned()), (5_000, rest.to_owned())]);
    let response = holding().classify(json(body), &WallClock::new()).await;
    assert_eq!(
        clock::now() - begun,
        Duration::from_millis(30),
        "as its first byte came"
    );
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, ANSWER);
}

#[tokio::test(start_paused = true)]
async fn a_larger_answer_passes_as_it_comes() {
    // No member that is known, in pieces of 1 KiB each second.
    let piece = |at: u64| {
        (
            if at == 0 { 10 } else { 100 },
            if at == 0 {
                "{\"x\":\"".to_owned()
            } else {
                "y".repeat(1_024)
            },
        )
    };
    let begun = clock::now();
    let response = holding()
        .classify(json(slow((0..20).map(piece).collect())), &WallClock::new())
        .await;
    assert_eq!(
        clock::now() - begun,
        Duration::from_millis(10 + 800),
        "8 KiB"
    );
    assert_eq!(cause(&response), None);
    let mut body = Box::pin(response.into_body());
    for at in 0..20_u64 {
        let frame = body.frame().await.expect("a frame").expect("data");
        assert!(frame.is_data());
        let came = Duration::from_millis(10 + 100 * at).max(Duration::from_millis(810));
        assert_eq!(clock::now() - begun, came, "piece {at} as it comes");
    }
    // One whose length is stated is not held at all.
    let long = Full::new(Bytes::from(vec![b' '; 8 * 1_024 + 1]));
    let response = holding().classify(json(long), &WallClock::new()).await;
    assert!(format!("{:?}", response.body()).contains("head_frames: 0"));
}

#[tokio::test(start_paused = true)]
async fn from_the_first_byte_on_a_second_is_the_longest_wait() {
    let begun = clock::now();
    let body = slow(vec![
        (40_000, " ".to_owned()),
        (10_000, "{".to_owned()),
        (9_000, "}".to_owned()),
    ]);
    let response = holding().classify(json(body), &WallClock::new()).await;
    assert_eq!(
        clock::now() - begun,
        Duration::from_secs(51),
        "blanks keep a connection alive"
    );
    assert_eq!(cause(&response), None);
}

#[tokio::test]
async fn a_break_before_anything_was_shown_is_a_broken_connection() {
    for (text, expected) in [("{\"id\":", Some(Cause::Transport)), (&ANSWER[..30], None)] {
        let frames = [Ok(Frame::data(Bytes::from(text.to_owned()))), Err("reset")];
        let body = StreamBody::new(stream::iter(frames));
        let response = holding().classify(json(body), &WallClock::new()).await;
        assert_eq!(cause(&response), expected, "{text}");
        assert!(
            response.into_body().collect().await.is_err(),
            "its reader sees it too"
        );
    }
}
