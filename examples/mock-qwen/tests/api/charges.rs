//! When tokens count, and what a broken call costs.

use http_body_util::BodyExt;
use mock_qwen::{Charge, Config, MockQwen};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{COMPATIBLE, ask, call, chat, frame, instant, pass, post, prompt_of, seconds};

/// Ten seconds to the first token, one for each: a call with 20 tokens lasts 30 s.
fn slow(charge: Charge, tpm: u64) -> MockQwen {
    MockQwen::new(Config {
        charge,
        tpm,
        ttft: seconds(10),
        tpot: seconds(1),
        output_tokens: 1_000,
        max_output: 40,
        ..Config::default()
    })
}

fn twenty() -> Value {
    let mut body = chat("hello");
    body["max_tokens"] = json!(20);
    body
}

/// A call on the side, which has been admitted when this returns.
async fn begin(mock: &MockQwen) -> JoinHandle<()> {
    let mock = mock.clone();
    let task = tokio::spawn(async move {
        let (status, _, body) = call(&mock, COMPATIBLE, &twenty()).await;
        assert_eq!(status, 200);
        assert_eq!(body["usage"]["completion_tokens"], 20);
    });
    tokio::task::yield_now().await;
    task
}

/// Whether a call with so long a prompt is let in. It asks for one token, at the end.
async fn fits(mock: &MockQwen, prompt: u64) -> bool {
    let text = vec!["word"; (prompt - prompt_of("word") + 1) as usize].join(" ");
    assert_eq!(prompt_of(&text), prompt);
    let mut body = chat(&text);
    body["max_tokens"] = json!(1);
    body["stream"] = json!(true);
    post(mock, COMPATIBLE, &[], &body).await.status() == 200
}

/// Asserts that exactly `room` tokens are left `until` seconds after a call began. The account
/// is asked twice, each time anew, by a call that is charged `answer` above its prompt.
async fn room(charge: Charge, tpm: u64, until: u64, answer: u64, room: u64) {
    for (prompt, expected) in [(room - answer, true), (room - answer + 1, false)] {
        let mock = slow(charge, tpm);
        let task = begin(&mock).await;
        pass(seconds(until.min(30))).await;
        if until >= 30 {
            task.await.expect("the call succeeds");
            pass(seconds(until - 30)).await;
        }
        assert_eq!(
            fits(&mock, prompt).await,
            expected,
            "{charge:?} {until} {prompt}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn start_charges_all_at_the_start() {
    let prompt = prompt_of("hello");
    room(Charge::Start, 100, 0, 1, 100 - prompt - 20).await;
    room(Charge::Start, 100, 59, 1, 100 - prompt - 20).await;
    room(Charge::Start, 100, 60, 1, 100).await;
}

#[tokio::test(start_paused = true)]
async fn end_charges_the_output_at_the_end() {
    let prompt = prompt_of("hello");
    room(Charge::End, 100, 29, 0, 100 - prompt).await;
    room(Charge::End, 100, 30, 0, 100 - prompt - 20).await;
    room(Charge::End, 100, 60, 0, 100 - 20).await;
    room(Charge::End, 100, 89, 0, 100 - 20).await;
    room(Charge::End, 100, 90, 0, 100).await;
}

#[tokio::test(start_paused = true)]
async fn estimate_holds_the_ceiling_and_corrects_it_at_its_date() {
    let prompt = prompt_of("hello");
    // The call ends by its ceiling, so the hold is what it uses.
    room(Charge::Estimate, 100, 29, 1, 100 - prompt - 20).await;
    room(Charge::Estimate, 100, 30, 1, 100 - prompt - 20).await;
    room(Charge::Estimate, 100, 60, 1, 100).await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_a_ceiling_is_the_models() {
    let prompt = prompt_of("hello");
    let mock = MockQwen::new(Config {
        charge: Charge::Estimate,
        tpm: prompt + 500,
        max_output: 500,
        ..instant()
    });
    let body = post(
        &mock,
        COMPATIBLE,
        &[],
        &json!({
            "model": "m", "stream": true, "messages": [{ "role": "user", "content": "hello" }],
        }),
    )
    .await;
    assert_eq!(ask(&mock, "hello").await, 429, "all is held");
    body.into_body().collect().await.expect("a whole stream");
    assert_eq!(mock.stats().tokens.output, 1);
    let mut small = chat("hello");
    small["max_tokens"] = json!(500 - prompt - 1);
    assert_eq!(
        call(&mock, COMPATIBLE, &small).await.0,
        200,
        "all but the usage is back"
    );
}

/// Leaves a call for 20 tokens when 8 of them have come.
async fn leave(charge: Charge) -> MockQwen {
    let mock = MockQwen::new(Config {
        charge,
        tpm: 1_000,
        ttft: seconds(10),
        tpot: seconds(1),
        output_tokens: 1_000,
        ..Config::default()
    });
    let mut body = twenty();
    body["stream"] = json!(true);
    let mut stream = post(&mock, COMPATIBLE, &[], &body).await.into_body();
    for _ in 0..3 {
        frame(&mut stream).await.expect("an event");
    }
    assert_eq!(mock.stats().in_flight, 1);
    drop(stream);
    let stats = mock.stats();
    assert_eq!((stats.in_flight, stats.aborted, stats.completed), (0, 1, 0));
    assert_eq!(stats.unfinished.output, 8);
    assert_eq!(stats.unfinished.prompt, prompt_of("hello"));
    assert_eq!(stats.tokens.total, 0);
    mock
}

#[tokio::test(start_paused = true)]
async fn an_abort_charges_what_was_delivered() {
    for (charge, output) in [(Charge::Start, 20), (Charge::End, 8), (Charge::Estimate, 8)] {
        for over in [0, 1] {
            let mock = leave(charge).await;
            let left = 1_000 - prompt_of("hello") - output;
            let answer = match charge {
                Charge::End => 0,
                _ => 1,
            };
            let fits = fits(&mock, left - answer + over).await;
            assert_eq!(fits, over == 0, "{charge:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_left_before_its_answer_costs_its_prompt() {
    let mock = slow(Charge::End, 100);
    let task = begin(&mock).await;
    pass(seconds(15)).await;
    task.abort();
    assert!(task.await.is_err());
    let stats = mock.stats();
    assert_eq!((stats.aborted, stats.in_flight), (1, 0));
    assert_eq!(stats.unfinished.total, prompt_of("hello"));
}

#[tokio::test(start_paused = true)]
async fn time_is_as_configured() {
    let mock = slow(Charge::End, 1_000);
    let task = begin(&mock).await;
    pass(seconds(30) - std::time::Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    assert_eq!(mock.stats().completed, 0);
    pass(std::time::Duration::from_millis(1)).await;
    task.await.expect("the call succeeds");
    assert_eq!(mock.stats().completed, 1);
}
