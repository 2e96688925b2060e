//! What the report of a call says, with a Meter alone.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Basis, CallReport, End, Ledger, MeterLayer,
    call::{ReadCall, ReadOptions},
    ledger::{Labels, Tenant},
};

use crate::support::{PROMPT, STREAM, Script, Step, WHOLE, json, next_data, stream, unread};

/// A request that nobody has read, with a report of its caller's.
fn reported() -> (Request<Full<Bytes>>, CallReport) {
    let (mut request, _) = unread();
    let report = CallReport::new();
    request.extensions_mut().insert(report.clone());
    (request, report)
}

async fn ask(
    request: Request<Full<Bytes>>,
    answer: Response<Script>,
) -> Response<tower_qwen_tokens::meter::ResponseBody<Script>> {
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let meter = MeterLayer::new(Ledger::default()).layer(service);
    meter.oneshot(request).await.expect("infallible")
}

#[tokio::test]
async fn a_whole_answer_is_reported_to_the_caller_and_in_its_extensions() {
    let (mut request, report) = reported();
    request.extensions_mut().insert(Tenant::new("acme"));
    let labels = Labels::new().with("feature", "search");
    request.extensions_mut().insert(labels.clone());
    assert_eq!((report.sends(), report.was_sent()), (0, false));
    let answer = ask(request, json(Script::text(WHOLE))).await;
    let of_answer = answer.extensions().get::<CallReport>().cloned();
    let of_answer = of_answer.expect("a report");
    assert_eq!((report.sends(), report.was_sent()), (1, true));
    assert_eq!((report.usage(), report.has_ended()), (None, false));
    answer.into_body().collect().await.expect("a body");
    for report in [report, of_answer] {
        let usage = report.usage().expect("known");
        assert_eq!(usage.input_and_output(), Some((3019, 104)));
        assert_eq!(report.basis(), Some(Basis::Reported));
        assert_eq!(report.end(), Some(End::Complete));
        assert!(report.cost().is_some() && report.costs().len() == 1);
        assert_eq!(report.tenant(), Some(Tenant::new("acme")));
        assert_eq!(report.labels(), labels);
        assert_eq!((report.queued(), report.retry_wait()), Default::default());
        assert_eq!((report.target(), report.has_ended()), (None, true));
    }
}

#[tokio::test]
async fn of_a_stream_the_tokens_come_at_its_end() {
    let (request, report) = reported();
    let mut ended = task::spawn(report.ended());
    assert_pending!(ended.poll());
    let mut body = ask(request, stream(Script::text(STREAM))).await.into_body();
    next_data(&mut body).await;
    assert_pending!(ended.poll());
    assert_eq!(report.usage(), None);
    assert!(body.frame().await.is_none());
    assert_eq!(report.usage().and_then(|usage| usage.total()), Some(39));
    drop(body);
    assert!(ended.is_woken());
    assert_ready!(ended.poll());
    report.ended().await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_or_breaks_ends_the_call() {
    for (last, end) in [(Step::Wait, End::Cancelled), (Step::Fail, End::Failed)] {
        let (request, report) = reported();
        let first = STREAM.split_inclusive("\n\n").next().expect("an event");
        let answer = ask(request, stream(Script::text(first).with(last))).await;
        let mut body = answer.into_body();
        next_data(&mut body).await;
        if end == End::Failed {
            body.frame().await.expect("a frame").expect_err("it breaks");
        }
        drop(body);
        assert_eq!((report.end(), report.has_ended()), (Some(end), true));
        assert_eq!(report.basis(), Some(Basis::Estimated));
    }
}

#[tokio::test]
async fn without_an_answer_the_callers_report_has_all() {
    let (request, report) = reported();
    let fails = service_fn(|_: Request<Full<Bytes>>| async { Err::<Response<Script>, _>("no") });
    let meter = MeterLayer::new(Ledger::default()).layer(fails);
    meter.oneshot(request).await.expect_err("no answer");
    assert_eq!(
        (report.end(), report.basis()),
        (Some(End::Failed), Some(Basis::Unknown))
    );
    // What the transport's error means, the Meter does not know.
    assert_eq!((report.sends(), report.was_sent()), (1, true));
    assert_eq!((report.cost(), report.has_ended()), (None, true));
    report.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_left_at_any_await_ends() {
    let waits = service_fn(|_: Request<Script>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(stream(Script::text(STREAM)))
    });
    let meter = MeterLayer::new(Ledger::default()).layer(waits);
    for polls in 0..4 {
        let report = CallReport::new();
        let body = Script::of([Step::Wait, Step::data(PROMPT)]);
        let request = Request::post(crate::support::CHAT)
            .header("content-type", "application/json")
            .extension(report.clone())
            .body(body)
            .expect("a request");
        let mut call = task::spawn(meter.clone().oneshot(request));
        for _ in 0..polls {
            let _ = call.poll();
            tokio::time::advance(Duration::from_millis(600)).await;
        }
        drop(call);
        // Before the first poll no layer has met it.
        assert_eq!(report.has_ended(), polls > 0, "{polls}");
        assert_eq!(report.was_sent(), polls > 1, "{polls}");
        assert_eq!(report.basis().is_some(), polls > 1, "{polls}");
    }
}

#[tokio::test]
async fn reading_a_request_beforehand_does_not_end_its_call() {
    let (request, report) = reported();
    let request = ReadCall::new(request, &ReadOptions::default()).await;
    assert!(!report.has_ended());
    let answer = ask(request.expect("readable"), json(Script::text(WHOLE))).await;
    answer.into_body().collect().await.expect("a body");
    assert_eq!((report.sends(), report.has_ended()), (1, true));

    let (request, report) = reported();
    let request = request.map(|_| Full::<Bytes>::from("no JSON"));
    let error = ReadCall::new(request, &ReadOptions::default()).await;
    assert!(error.is_err() && report.has_ended() && !report.was_sent());
}

#[tokio::test]
async fn an_error_answer_has_its_report() {
    let (request, report) = reported();
    let mut answer = json(Script::text(
        r#"{"error":{"code":"limit_requests","message":"x"}}"#,
    ));
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let answer = ask(request, answer).await;
    assert!(answer.extensions().get::<CallReport>().is_some());
    answer.into_body().collect().await.expect("a body");
    assert_eq!(report.basis(), Some(Basis::Unknown));
    assert_eq!((report.costs(), report.has_ended()), (vec![], true));
    let text = format!("{report:?}");
    assert!(
        text.starts_with("CallReport { queued: 0ns") && text.len() < 1_000,
        "{text}"
    );
}
