//! Every way in which an answer ends is reported once.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Basis, End, Ledger, MeterLayer, Report, Usage, ledger::Totals, meter::ResponseBody,
};

use crate::support::{STREAM, Script, Step, WHOLE, json, next_data, read, stream};

type Answer = Response<ResponseBody<Script>>;

/// Sends one call to a service that answers so.
async fn ask(
    answer: Response<Script>,
) -> (Answer, std::sync::Arc<crate::support::Recorder>, Ledger) {
    let ledger = Ledger::default();
    let service = service_fn(|_: Request<Full<Bytes>>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let (request, recorder) = read().await;
    let answer = MeterLayer::new(ledger.clone())
        .layer(service)
        .oneshot(request)
        .await;
    (answer.expect("infallible"), recorder, ledger)
}

fn total(ledger: &Ledger) -> Totals {
    let total = ledger.snapshot().total;
    assert_eq!(total.calls, 1, "exactly one entry");
    total
}

fn figures(report: &Report) -> (Option<u64>, Option<u64>, Basis, End) {
    let Usage {
        input_tokens,
        output_tokens,
        ..
    } = report.usage;
    (input_tokens, output_tokens, report.basis, report.end)
}

#[tokio::test]
async fn none() {
    let (answer, recorder, ledger) = ask(stream(Script::text(STREAM))).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    assert!(recorder.reports().is_empty());
    assert!(body.frame().await.is_none());
    assert_eq!(
        figures(&recorder.report()),
        (Some(22), Some(17), Basis::Reported, End::Complete)
    );
    assert!(body.frame().await.is_none());
    drop(body);
    recorder.report();
    let total = total(&ledger);
    assert_eq!(
        (
            total.failed,
            total.cancelled,
            total.estimated,
            total.unknown
        ),
        (0, 0, 0, 0)
    );
    assert_eq!((total.input_tokens, total.output_tokens), (22, 17));
}

#[tokio::test]
async fn end_stream_after_a_frame() {
    let (answer, recorder, ledger) = ask(json(Script::text(WHOLE).announcing())).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    assert!(body.is_end_stream());
    assert_eq!(
        figures(&recorder.report()),
        (Some(3019), Some(104), Basis::Reported, End::Complete)
    );
    drop(body);
    recorder.report();
    assert_eq!(total(&ledger).cached_tokens, 2048);
}

#[tokio::test]
async fn trailers() {
    let (answer, recorder, ledger) = ask(stream(Script::text(STREAM).with(Step::Trailers))).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    assert!(recorder.reports().is_empty());
    assert!(
        body.frame()
            .await
            .expect("a frame")
            .expect("no error")
            .is_trailers()
    );
    assert_eq!(recorder.report().end, End::Complete);
    drop(body);
    recorder.report();
    assert_eq!(total(&ledger).cancelled, 0);
}

#[tokio::test]
async fn already_over() {
    let (answer, recorder, ledger) = ask(json(Script::default().announcing())).await;
    assert!(answer.body().is_end_stream());
    assert_eq!(
        figures(&recorder.report()),
        (Some(10), Some(0), Basis::Estimated, End::Complete)
    );
    drop(answer);
    recorder.report();
    assert_eq!(total(&ledger).estimated, 1);
}

#[tokio::test]
async fn error() {
    let cut = STREAM
        .find("data: {\"choices\":[],")
        .expect("the usage event");
    let (answer, recorder, ledger) =
        ask(stream(Script::text(&STREAM[..cut]).with(Step::Fail))).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    assert!(body.frame().await.expect("a frame").is_err());
    let report = recorder.report();
    assert_eq!((report.basis, report.end), (Basis::Estimated, End::Failed));
    assert_eq!(report.usage.output_tokens, Some(4));
    assert!(
        report.usage.input_tokens.is_some_and(|input| input > 0),
        "the request's estimate"
    );
    drop(body);
    recorder.report();
    let total = total(&ledger);
    assert_eq!((total.failed, total.cancelled, total.estimated), (1, 0, 1));
    assert!(!total.cost.is_empty());
}

#[tokio::test]
async fn dropped_midway() {
    let cut = STREAM.find('!').expect("text");
    let (answer, recorder, ledger) =
        ask(stream(Script::text(&STREAM[..cut]).with(Step::Wait))).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    assert!(recorder.reports().is_empty());
    drop(body);
    let report = recorder.report();
    assert_eq!(
        (report.basis, report.end),
        (Basis::Estimated, End::Cancelled)
    );
    assert_eq!(report.usage.output_tokens, Some(4));
    let total = total(&ledger);
    assert_eq!((total.failed, total.cancelled, total.estimated), (0, 1, 1));
}

#[tokio::test]
async fn dropped_unread() {
    let (answer, recorder, ledger) = ask(stream(Script::text(STREAM))).await;
    drop(answer);
    let report = recorder.report();
    assert_eq!(
        (report.basis, report.end),
        (Basis::Estimated, End::Cancelled)
    );
    assert!(report.usage.input_tokens.is_some_and(|input| input > 0));
    assert_eq!((report.usage.output_tokens, report.unknown), (None, None));
    let total = total(&ledger);
    assert_eq!((total.cancelled, total.estimated, total.unknown), (1, 1, 0));
    assert_eq!(Some(total.input_tokens), report.usage.input_tokens);
}

#[tokio::test]
async fn an_error_dropped_while_it_is_classified_costs_nothing() {
    let ledger = Ledger::default();
    let service = service_fn(|_: Request<Full<Bytes>>| {
        let mut answer = json(Script::text("{\"error\":").with(Step::Wait));
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        async { Ok::<_, Infallible>(answer) }
    });
    let (request, recorder) = read().await;
    let answer = MeterLayer::new(ledger.clone())
        .layer(service)
        .oneshot(request);
    let mut answer = task::spawn(answer);
    assert_pending!(answer.poll());
    drop(answer);
    assert!(recorder.reports().is_empty());
    let total = total(&ledger);
    assert_eq!((total.failed, total.estimated, total.unknown), (1, 0, 0));
    assert_eq!(total.input_tokens, 0);
}

#[tokio::test]
async fn dropped_after_the_usage() {
    let (answer, recorder, ledger) = ask(stream(Script::text(STREAM).with(Step::Wait))).await;
    let mut body = answer.into_body();
    next_data(&mut body).await;
    drop(body);
    assert_eq!(
        figures(&recorder.report()),
        (Some(22), Some(17), Basis::Reported, End::Cancelled)
    );
    assert_eq!(total(&ledger).cancelled, 1);
}

#[tokio::test]
async fn a_native_stream_cut_between_events_is_estimated_from_its_usage() {
    let event = "data:{\"output\":{\"finish_reason\":\"null\",\"text\":\"Hi\"},\"usage\":{\"input_tokens\":16,\"output_tokens\":9,\"total_tokens\":25}}\n\n";
    let (answer, recorder, _) = ask(stream(Script::text(event).with(Step::Fail))).await;
    assert!(answer.into_body().collect().await.is_err());
    let report = recorder.report();
    assert_eq!(
        figures(&report),
        (Some(16), Some(9), Basis::Estimated, End::Failed)
    );
    assert_eq!(report.usage.total(), Some(25));
}

#[tokio::test]
async fn a_whole_answer_without_usage_is_estimated_from_its_text() {
    let body = include_str!("../fixtures/compat_without_usage.sse");
    let (answer, recorder, ledger) = ask(stream(Script::text(body))).await;
    answer.into_body().collect().await.expect("no error");
    let report = recorder.report();
    assert_eq!(
        (report.basis, report.end, report.usage.output_tokens),
        (Basis::Estimated, End::Complete, Some(4))
    );
    assert_eq!(total(&ledger).estimated, 1);
}

#[tokio::test(start_paused = true)]
async fn times_go_by_the_paused_clock() {
    let (answer, recorder, ledger) = ask(stream(Script::text(STREAM).with(Step::data("\n")))).await;
    let mut body = answer.into_body();
    tokio::time::advance(Duration::from_millis(300)).await;
    next_data(&mut body).await;
    tokio::time::advance(Duration::from_millis(700)).await;
    body.collect().await.expect("no error");
    let total = total(&ledger);
    assert_eq!(total.first_token.sum, Duration::from_millis(300));
    assert_eq!(total.duration.sum, Duration::from_secs(1));
    let report = recorder.report();
    assert_eq!(report.first_token, Some(Duration::from_millis(300)));
    assert_eq!(report.duration, Duration::from_secs(1));
}

/// The tokens of the answer, by what was delivered of a stream in this many of its events.
async fn cut_after(events: usize, layer: MeterLayer, stream_text: &str) -> Option<u64> {
    let cut: String = stream_text.split_inclusive("\n\n").take(events).collect();
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = stream(Script::text(&cut).with(Step::Fail));
        async { Ok::<_, Infallible>(answer) }
    });
    let (request, recorder) = read().await;
    let answer = layer.layer(service).oneshot(request).await;
    assert!(
        answer
            .expect("infallible")
            .into_body()
            .collect()
            .await
            .is_err()
    );
    let report = recorder.report();
    assert_eq!((report.basis, report.end), (Basis::Estimated, End::Failed));
    report.usage.output_tokens
}

fn events(pieces: &[&str]) -> String {
    let event = |piece: &&str| {
        let piece = serde_json::to_string(piece).expect("JSON");
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":{piece}}},\"index\":0}}],\"id\":\"x\"}}\n\n"
        )
    };
    pieces.iter().map(event).collect()
}

#[tokio::test]
async fn a_cut_stream_is_counted_by_the_users_counter() {
    struct Bytewise;
    impl tower_qwen_tokens::estimate::Estimate for Bytewise {
        fn estimate(&self, text: &str) -> u64 {
            text.len() as u64 * 1_000
        }
    }
    let pieces = [
        "Hel",
        "lo",
        ", \"wörld\"\n",
        "你好",
        "🙂",
        " and so on",
        " and on",
    ];
    let whole = events(&pieces);
    for events in 1..=pieces.len() {
        let layer = MeterLayer::new(Ledger::default()).count_cut_streams(Bytewise);
        let delivered: usize = pieces[..events].iter().map(|piece| piece.len()).sum();
        assert_eq!(
            cut_after(events, layer, &whole).await,
            Some(delivered as u64 * 1_000)
        );
    }
}

#[cfg(feature = "tokenizer")]
#[tokio::test]
async fn a_cut_stream_is_counted_exactly() {
    use tower_qwen_tokens::estimate::{Family, Tokenizer};

    let tokenizer = Tokenizer::new(Family::Qwen3);
    let pieces = [
        "天气",
        "很好，",
        "we walk",
        " along",
        " the ri",
        "ver",
        " and talk.",
    ];
    let whole = events(&pieces);
    for events in 1..=pieces.len() {
        let layer = MeterLayer::new(Ledger::default()).count_cut_streams(tokenizer.clone());
        let delivered = pieces[..events].concat();
        assert_eq!(
            cut_after(events, layer, &whole).await,
            Some(tokenizer.count(&delivered)),
            "{delivered}"
        );
    }
}
