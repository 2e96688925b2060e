//! Settled calls teach whoever estimates the next ones.

use std::convert::Infallible;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_tokens::{
    Call, Ledger, MeterLayer,
    call::{ModelCall, ReadCall, ReadOptions},
    estimate::{Calibration, Estimate, Ratio, Script, estimate_text},
};

use crate::support::{self, CHAT, STREAM};

const TEXT: &str =
    "The harbour was quiet that morning, and the boats lay still on the grey water. ";

fn request(content: &serde_json::Value) -> Request<Full<Bytes>> {
    let body = json!({"model": "qwen-plus", "messages": [{"role": "user", "content": content}]});
    Request::post(CHAT)
        .body(Full::from(body.to_string()))
        .expect("a request")
}

fn prompt(repeats: usize) -> Request<Full<Bytes>> {
    request(&TEXT.repeat(repeats).into())
}

async fn read(request: Request<Full<Bytes>>, options: &ReadOptions) -> ModelCall {
    let request = ReadCall::new(request, options).await.expect("readable");
    let call = Call::of(&request).expect("read");
    call.model_call().expect("a model call").clone()
}

/// Sends a call that is answered with this, to the end.
async fn settle(
    request: Request<Full<Bytes>>,
    options: &ReadOptions,
    answer: http::Response<support::Script>,
) {
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let layer = MeterLayer::new(Ledger::default()).read_options(options.clone());
    let answer = layer
        .layer(service)
        .oneshot(request)
        .await
        .expect("infallible");
    // A body that breaks off is one of the cases.
    let _ = answer.into_body().collect().await;
}

fn stating(input_tokens: u64) -> http::Response<support::Script> {
    let usage = json!({"usage": {"prompt_tokens": input_tokens, "completion_tokens": 1}});
    support::json(support::Script::text(&usage.to_string()))
}

/// A host that counts a fifth more than we do, a tenth of it noise.
fn counted(call: &ModelCall, turn: u64) -> u64 {
    call.estimated.tokens * (115 + turn * 7 % 11) / 100
}

#[tokio::test]
async fn fifty_calls_bring_the_signed_error_under_three_percent() {
    let calibration = Calibration::new();
    let options = ReadOptions::default().calibration(calibration.clone());
    for turn in 0..50 {
        let actual = counted(&read(prompt(3 + turn), &options).await, turn as u64);
        settle(prompt(3 + turn), &options, stating(actual)).await;
    }
    let (mut estimated, mut actual) = (0, 0);
    for turn in 0..50 {
        let call = read(prompt(4 + turn), &options).await;
        assert_eq!(call.cautious_input_tokens, call.input_tokens, "calibrated");
        estimated += call.input_tokens;
        actual += counted(&call, turn as u64 + 5);
    }
    assert!(
        estimated.abs_diff(actual) * 100 < 3 * actual,
        "{estimated} for {actual}"
    );
    let kinds = calibration.snapshot();
    assert_eq!(kinds.len(), 1);
    assert_eq!(kinds[0].model.as_deref(), Some("qwen-plus"));
    assert_eq!(
        (kinds[0].script, kinds[0].samples, kinds[0].ignored),
        (Script::Latin, 50, 0)
    );
}

#[tokio::test]
async fn until_then_more_is_set_aside_than_is_likely() {
    let call = read(prompt(10), &ReadOptions::default()).await;
    assert_eq!(call.input_tokens, call.estimated.tokens);
    assert_eq!(
        call.cautious_input_tokens,
        Ratio::percent(115).apply(call.estimated.tokens)
    );
    let bold = ReadOptions::default().calibration(Calibration::with_caution(Ratio::ONE));
    assert_eq!(
        read(prompt(10), &bold).await.cautious_input_tokens,
        call.estimated.tokens
    );
}

#[tokio::test]
async fn what_is_missing_cut_or_absurd_bends_nothing() {
    let calibration = Calibration::new();
    let options = ReadOptions::default().calibration(calibration.clone());
    let actual = read(prompt(10), &options).await.estimated.tokens;
    for _ in 0..20 {
        settle(prompt(10), &options, stating(actual)).await;
    }
    let factor = calibration.factor("qwen-plus", Script::Latin);
    assert_eq!(factor, Ratio::ONE);
    let event = &STREAM[..STREAM.find("\n\n").expect("an event") + 2];
    for answer in [
        stating(0),
        stating(u64::MAX),
        stating(actual * 100),
        stating(1),
        support::json(support::Script::text(
            r#"{"usage":{"completion_tokens":1}}"#,
        )),
        support::json(support::Script::text(r#"{"usage":null}"#)),
        support::json(
            support::Script::text(r#"{"usage":{"prompt_tokens":"#).with(support::Step::Fail),
        ),
        support::stream(support::Script::text(event).with(support::Step::Fail)),
        support::stream(support::Script::text(event)),
    ] {
        settle(prompt(10), &options, answer).await;
        assert_eq!(calibration.factor("qwen-plus", Script::Latin), factor);
    }
    let kind = &calibration.snapshot()[0];
    // A hundred times the prompt, more than a number holds, or none at all is not even taken over.
    assert_eq!((kind.samples, kind.ignored), (20, 1));
}

#[tokio::test]
async fn a_call_with_an_image_is_a_kind_of_its_own() {
    let calibration = Calibration::new();
    let options = ReadOptions::default().calibration(calibration.clone());
    let image = || {
        request(
            &json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}, {"type": "text", "text": TEXT}]),
        )
    };
    let call = read(image(), &options).await;
    assert_eq!(call.estimated.script, Script::Media);
    for _ in 0..20 {
        settle(image(), &options, stating(call.estimated.tokens / 2)).await;
    }
    assert!(
        read(image(), &options)
            .await
            .input_tokens
            .abs_diff(call.estimated.tokens / 2)
            <= 1
    );
    let text = read(prompt(10), &options).await;
    assert_eq!(text.input_tokens, text.estimated.tokens);
}

#[tokio::test]
async fn a_counter_of_the_users_own() {
    struct FourBytes;
    impl Estimate for FourBytes {
        fn estimate(&self, text: &str) -> u64 {
            (text.len() as u64).div_ceil(4)
        }
    }
    let options = ReadOptions::default().estimate(FourBytes);
    let call = read(prompt(10), &options).await;
    assert_eq!(
        call.estimated.tokens,
        (TEXT.len() as u64 * 10).div_ceil(4) + 8
    );
    assert_eq!(call.estimated.script, Script::Latin);
    let built_in = read(prompt(10), &ReadOptions::default()).await;
    assert_eq!(
        built_in.estimated.tokens,
        estimate_text(&TEXT.repeat(10)) + 8
    );
}

#[cfg(feature = "tokenizer")]
#[tokio::test]
async fn the_exact_counter() {
    use tower_qwen_tokens::estimate::{Chat, Family, Message, Profile, Tokenizer};

    let tokenizer = Tokenizer::new(Family::Qwen3);
    let options = ReadOptions::default()
        .estimate(tokenizer.clone())
        .calibration(Calibration::with_caution(Ratio::ONE));
    let call = read(prompt(10), &options).await;
    let chat = Chat::new([Message::user(TEXT.repeat(10))]);
    let exact = tokenizer.count_chat(&chat, &Profile::dash_scope());
    assert_eq!(call.input_tokens, exact);
    assert_eq!(call.cautious_input_tokens, exact);
}
