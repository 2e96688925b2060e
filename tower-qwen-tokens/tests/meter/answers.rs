//! What the Meter makes of answers, and that they pass unchanged.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use bytes::{Buf, Bytes, buf::Chain};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{Basis, Cause, End, Ledger, MeterLayer, UnknownReason, Verdict};

use crate::support::{Recorder, STREAM, Script, Step, WHOLE, answer, json, read, seen, stream};

async fn ask<B: Body>(
    answer: Response<B>,
) -> (
    Response<impl Body<Data = Bytes, Error = B::Error>>,
    Arc<Recorder>,
    Ledger,
) {
    let ledger = Ledger::default();
    let mut answer = Some(answer);
    let service = std::sync::Mutex::new(move || answer.take().expect("one call"));
    let service = &service;
    let service = service_fn(move |_: Request<Full<Bytes>>| async move {
        Ok::<_, Infallible>((service.lock().expect("no panic while held"))())
    });
    let (request, recorder) = read().await;
    let answer = MeterLayer::new(ledger.clone())
        .layer(service)
        .oneshot(request)
        .await;
    (answer.expect("infallible"), recorder, ledger)
}

async fn basis(response: Response<Script>) -> (Basis, Option<UnknownReason>) {
    let (answer, recorder, _) = ask(response).await;
    answer.into_body().collect().await.expect("no error");
    let report = recorder.report();
    (report.basis, report.unknown)
}

#[tokio::test]
async fn an_error_answer_is_classified_and_costs_nothing() {
    let body = r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"}}"#;
    let mut response = json(Script::text(body));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let (answer, recorder, ledger) = ask(response).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let verdict = answer
        .extensions()
        .get::<Verdict>()
        .expect("classified")
        .clone();
    assert_eq!(verdict.cause(), Cause::TokenRate);
    assert!(recorder.reports().is_empty());
    assert_eq!(
        answer
            .into_body()
            .collect()
            .await
            .expect("no error")
            .to_bytes(),
        body
    );
    let report = recorder.report();
    assert_eq!(
        (report.unknown, report.end, report.status),
        (
            Some(UnknownReason::NoSuccess),
            End::Complete,
            StatusCode::TOO_MANY_REQUESTS
        )
    );
    assert!(report.usage.is_empty());
    assert_eq!(report.verdict, Some(verdict));
    let total = ledger.snapshot().total;
    assert_eq!(
        (
            total.calls,
            total.failed,
            total.unknown,
            total.unpriced_calls
        ),
        (1, 1, 0, 0)
    );
    assert!(total.cost.is_empty());
}

#[tokio::test]
async fn an_error_inside_a_stream_is_reported_with_its_verdict() {
    let (answer, recorder, ledger) = ask(stream(Script::text(include_str!(
        "../fixtures/native_throttled.sse"
    ))))
    .await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body().collect().await.expect("no error");
    let report = recorder.report();
    assert_eq!(
        report.verdict.map(|verdict| verdict.cause()),
        Some(Cause::TokenRate)
    );
    assert_eq!(report.usage.total(), Some(18));
    assert_eq!(ledger.snapshot().total.failed, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_estimated_by_its_length() {
    let encoded = |encoding: &'static str| {
        let mut response = json(Script::text(WHOLE));
        response
            .headers_mut()
            .insert("content-encoding", encoding.parse().expect("a value"));
        response
    };
    let mut redirect = json(Script::text(WHOLE));
    *redirect.status_mut() = StatusCode::FOUND;
    let unknown = |reason| (Basis::Estimated, Some(reason));
    let reported = (Basis::Reported, None);
    for (response, expected) in [
        (json(Script::text(WHOLE)), reported),
        (encoded("identity"), reported),
        (encoded("gzip"), unknown(UnknownReason::Encoded)),
        (encoded("br"), unknown(UnknownReason::Encoded)),
        (answer("text/plain", Script::text(WHOLE)), reported),
        (Response::new(Script::text(WHOLE)), reported),
        (
            answer("text/plain", Script::text("no model here")),
            unknown(UnknownReason::ContentType),
        ),
        (
            Response::new(Script::default()),
            unknown(UnknownReason::ContentType),
        ),
        (
            answer("text/html", Script::text(WHOLE)),
            unknown(UnknownReason::ContentType),
        ),
        (
            json(Script::text(r#"{"choices":[],"usage":{}}"#)),
            unknown(UnknownReason::NotStated),
        ),
        (
            json(Script::text("not JSON")),
            unknown(UnknownReason::NotStated),
        ),
        (
            stream(Script::text("data: [DONE]\n\n")),
            unknown(UnknownReason::NotStated),
        ),
        (redirect, (Basis::Unknown, Some(UnknownReason::NoSuccess))),
    ] {
        let headers = response.headers().clone();
        assert_eq!(basis(response).await, expected, "{headers:?}");
    }
}

/// The figures: of the prompt as the request has it, and of the answer by its bytes, within its ceilings.
#[tokio::test]
async fn an_answer_that_says_nothing_is_as_long_as_its_body() {
    let compressed = |bytes: usize| {
        let mut response = json(Script::text(&"x".repeat(bytes)));
        let gzip = "gzip".parse().expect("a value");
        response.headers_mut().insert("content-encoding", gzip);
        response
    };
    let events = stream(Script::text(&format!(
        ": {}\n\ndata: [DONE]\n\n",
        "x".repeat(622)
    )));
    for (response, output) in [
        (compressed(300), 300),
        // No answer of this model has more.
        (compressed(1_000_000), 32_768),
        (json(Script::text(&"x".repeat(300))), 75),
        (events, 10),
    ] {
        let (answer, recorder, ledger) = ask(response).await;
        answer.into_body().collect().await.expect("no error");
        let usage = recorder.report().usage;
        assert_eq!(usage.output_tokens, Some(output));
        let total = ledger.snapshot().total;
        assert!(usage.input_tokens.is_some_and(|input| input > 0));
        assert_eq!(Some(total.input_tokens), usage.input_tokens);
        assert!(!total.cost.is_empty());
    }
}

/// A buffer in two parts, of which it can show both, or only the first.
struct Halves {
    shows_both: bool,
    chain: Chain<Bytes, Bytes>,
}

impl Buf for Halves {
    fn remaining(&self) -> usize {
        self.chain.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.chain.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.chain.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let seen = if self.shows_both {
            slices.len()
        } else {
            slices.len().min(1)
        };
        self.chain.chunks_vectored(&mut slices[..seen])
    }
}

#[tokio::test]
async fn data_in_several_parts_is_read_however_little_it_shows() {
    for shows_both in [true, false] {
        let (left, right) = WHOLE.as_bytes().split_at(300);
        let chain = Bytes::from_static(left).chain(Bytes::from_static(right));
        let (answer, recorder, _) = ask(json(Full::new(Halves { shows_both, chain }))).await;
        let body = answer.into_body().collect().await.expect("infallible");
        assert_eq!(body.to_bytes(), WHOLE);
        assert_eq!(recorder.report().basis, Basis::Reported);
    }
}

#[tokio::test]
async fn the_hint_is_the_inner_one() {
    let (answer, ..) = ask(json(Script::text(WHOLE))).await;
    assert_eq!(answer.body().size_hint().exact(), Some(WHOLE.len() as u64));
    assert!(!answer.body().is_end_stream());
}

fn steps() -> impl Strategy<Value = VecDeque<Step>> {
    let soup = prop::sample::select(vec![
        STREAM,
        WHOLE,
        "data: {\"usage\":",
        "\r",
        "\n\n",
        "",
        "\u{feff}",
        "{\"code\":\"Throttling\"}",
    ]);
    let step = prop_oneof![
        6 => (soup, any::<prop::sample::Index>()).prop_map(|(text, cut)| {
            Step::Data(Bytes::from_static(&text.as_bytes()[cut.index(text.len() + 1)..]))
        }),
        1 => Just(Step::Wait),
        1 => Just(Step::Trailers),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec_deque(step, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_answer_passes_unchanged_and_is_reported_once(
        steps in steps(),
        announces_end in any::<bool>(),
        status in prop::sample::select(vec![200_u16, 206, 302, 400, 429, 500]),
        is_stream in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let script = Script { steps, announces_end };
            let plain = seen(script.clone(), status < 400).await;
            let mut response = if is_stream { stream(script) } else { json(script) };
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            let headers = response.headers().clone();
            let (answer, recorder, ledger) = ask(response).await;
            prop_assert_eq!(answer.status().as_u16(), status);
            prop_assert_eq!(answer.headers(), &headers);
            let metered = seen(answer.into_body(), status < 400).await;
            prop_assert_eq!(metered, plain);
            prop_assert_eq!(recorder.reports().len(), 1);
            prop_assert_eq!(ledger.snapshot().total.calls, 1);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_call_to_the_host_for_batches_costs_half() {
    let cost_at = |host: &'static str| async move {
        let ledger = Ledger::default();
        let (request, _) = read().await;
        let (mut head, body) = request.into_parts();
        let uri = format!("https://{host}/compatible-mode/v1/chat/completions");
        head.uri = uri.parse().expect("a uri");
        let service = service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(json(Full::new(Bytes::from_static(WHOLE.as_bytes()))))
        });
        let answer = MeterLayer::new(ledger.clone())
            .layer(service)
            .oneshot(Request::from_parts(head, body))
            .await
            .expect("infallible");
        answer.into_body().collect().await.expect("no error");
        ledger.snapshot().total.cost[0].to_string()
    };
    // 971 fresh and 2,048 cached tokens of 3,019 at 0.4 and 0.08 USD, 104 of output at 1.2.
    assert_eq!(cost_at("dashscope.aliyuncs.com").await, "0.00067704 USD");
    // Half of 3,019 at 0.4 and 104 at 1.2: batches have no cache.
    assert_eq!(
        cost_at("batch.dashscope.aliyuncs.com").await,
        "0.0006662 USD"
    );
}
