//! What hosts state, row by row (`tests/data/usage.jsonl`): whole, in pieces, and cut at every byte.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Basis, Dialect, End, Ledger, MeterLayer, Report, UsageSink,
    call::{ReadCall, ReadOptions},
    scan::Scanner,
};

use crate::support::{PROMPT, Recorder, Script, Step};

struct Row(Value);

impl Row {
    fn all() -> Vec<Self> {
        let rows = include_str!("../data/usage.jsonl").lines();
        rows.map(|row| Self(serde_json::from_str(row).expect("JSON")))
            .collect()
    }

    fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.0
            .get(name)
            .map_or(default, |text| text.as_str().expect("a text"))
    }

    fn body(&self) -> &str {
        self.text("body", "")
    }

    fn path(&self) -> &str {
        self.text("path", "/v1/chat/completions")
    }

    fn is_stream(&self) -> bool {
        self.text("type", "text/event-stream") == "text/event-stream"
            && self.body().contains("data:")
    }

    fn answer(&self, steps: impl IntoIterator<Item = Step>) -> Response<Script> {
        let mut response = Response::builder();
        let content_type = self.text("type", "text/event-stream");
        if !content_type.is_empty() {
            response = response.header("content-type", content_type);
        }
        let server = self.text("server", "");
        if !server.is_empty() {
            response = response.header("server", server);
        }
        response.body(Script::of(steps)).expect("an answer")
    }

    /// What the Meter reports of an answer that comes in these steps.
    async fn report(&self, layer: &MeterLayer, steps: Vec<Step>) -> Report {
        let recorder = std::sync::Arc::new(Recorder::default());
        let body = self.text("request", PROMPT).to_owned();
        let request = Request::post(format!("https://host.example{}", self.path()))
            .header("content-type", "application/json")
            .extension(UsageSink::new(std::sync::Arc::<Recorder>::clone(&recorder)))
            .body(Full::<Bytes>::from(body))
            .expect("a request");
        let request = ReadCall::new(request, &ReadOptions::default())
            .await
            .expect("readable");
        let answer = self.answer(steps);
        let service = service_fn(|_: Request<Full<Bytes>>| {
            let answer = answer.clone();
            async { Ok::<_, Infallible>(answer) }
        });
        let answer = layer.layer(service).oneshot(request).await;
        let _ = answer.expect("infallible").into_body().collect().await;
        recorder.report()
    }

    fn check(&self, report: &Report) {
        let name = format!("{} ({})", self.text("name", ""), self.text("kind", ""));
        let usage = report.usage;
        for (member, right) in self.0["right"].as_object().expect("an object") {
            let got: Value = match &**member {
                "basis" => format!("{:?}", report.basis).to_lowercase().into(),
                "input" => usage.input_tokens.into(),
                "output" => usage.output_tokens.into(),
                "cached" => usage.cached_tokens.into(),
                "written" => usage.cache_write_tokens.into(),
                "cache" => usage.cache_type.map(|cache| cache.as_str()).into(),
                "reasoning" => usage.reasoning_tokens.into(),
                "cause" => report
                    .verdict
                    .as_ref()
                    .map(|verdict| verdict.cause().as_str())
                    .into(),
                "unknown" => report.unknown.map(|unknown| unknown.as_str()).into(),
                "impossible" => report.impossible.is_some().into(),
                "first_token" => report.first_token.is_some().into(),
                other => panic!("no such figure: {other}"),
            };
            assert_eq!(&got, right, "{name}: {member} of {report:?}");
        }
    }
}

fn data(text: &[u8]) -> Step {
    Step::Data(Bytes::copy_from_slice(text))
}

#[tokio::test(start_paused = true)]
async fn every_row_is_read_right() {
    let layer = MeterLayer::new(Ledger::default());
    for row in Row::all() {
        let body = row.body().as_bytes();
        for piece in [body.len().max(1), 1, 7] {
            let mut steps: Vec<Step> = body.chunks(piece).map(data).collect();
            if row.text("end", "") == "failed" {
                steps.push(Step::Fail);
            }
            row.check(&row.report(&layer, steps).await);
        }
    }
}

#[test]
fn every_cut_into_pieces_gives_the_same() {
    for row in Row::all() {
        let dialect = Dialect::of_path(row.path()).expect("a path");
        let answer = row.answer([]);
        let scan = |pieces: [&[u8]; 2]| {
            let scanner = Scanner::for_response(answer.headers(), dialect).expect("readable");
            let mut scanner = scanner.answers(2, 1);
            pieces.into_iter().for_each(|piece| scanner.push(piece));
            scanner.finish()
        };
        let body = row.body().as_bytes();
        let whole = scan([body, b""]);
        for at in 0..body.len() {
            let (left, right) = body.split_at(at);
            assert_eq!(
                scan([left, right]),
                whole,
                "{} at {at}",
                row.text("name", "")
            );
        }
    }
}

/// A stream that ends early, with an error or without, is not taken for the whole one.
#[tokio::test(start_paused = true)]
async fn what_is_cut_is_reported_only_where_its_usage_is_that_of_the_whole() {
    let layer = MeterLayer::new(Ledger::default());
    let can_be_seen = |row: &Row| row.is_stream() && row.text("cut", "").is_empty();
    for row in Row::all().into_iter().filter(can_be_seen) {
        let body = row.body().as_bytes();
        let whole = row.report(&layer, vec![data(body)]).await;
        for at in 0..body.len() {
            let report = row.report(&layer, vec![data(&body[..at])]).await;
            assert_eq!(report.end, End::Complete);
            if report.basis == Basis::Reported {
                let (got, right) = (report.usage, whole.usage);
                assert_eq!(
                    whole.basis,
                    Basis::Reported,
                    "{} cut at {at}",
                    row.text("name", "")
                );
                assert_eq!(
                    (got.input_tokens, got.output_tokens),
                    (right.input_tokens, right.output_tokens),
                    "{} cut at {at}",
                    row.text("name", "")
                );
            }
        }
    }
}
