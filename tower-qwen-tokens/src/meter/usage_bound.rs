//! Whether a stated usage can be.

use http::{HeaderMap, header::SERVER};

use super::outside::{names_host_tools, names_outside};
use crate::{Call, Usage, data::Window};

/// The window of a model that is not listed: the largest that is known. Unit: tokens.
// `qwen-long` takes 10 million; no model takes more.
const UNKNOWN_WINDOW: u64 = 10_000_000;
/// How much longer than its bytes a prompt may be. Unit: tokens.
// A byte is at most one token, but hosts add prompts of their own: frames of templates, hidden
// instructions, results of a search. Seen were up to 2,700.
const ADDED_BY_HOST: u64 = 8_192;
/// How much longer than both its ceiling and its bytes an answer may be. Unit: tokens.
// Hosts overrun a ceiling (seen: by 11), and count frames of templates and calls of tools that they do not send.
const BEYOND_ANSWER: u64 = 8_192;
/// The same of a model that is not listed, whose host may leave thoughts out of both. Unit: tokens.
const BEYOND_ANSWER_OF_UNKNOWN: u64 = 32_768;
/// The longest answer of a model for which none is listed: the largest that is known. Unit: tokens.
const LONGEST_ANSWER: u64 = 131_072;
/// The same of its reasoning. Unit: tokens.
const LONGEST_REASONING: u64 = 262_144;
/// How many answers a call has, and to each of its prompts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    pub(super) all: u32,
    pub(super) per_prompt: u32,
}

impl Answers {
    pub(super) fn of(call: &Call) -> Self {
        let Some(read) = call.model_call() else {
            return Self {
                all: 1,
                per_prompt: 1,
            };
        };
        Self {
            all: read.choices.saturating_mul(read.prompts),
            per_prompt: read.choices,
        }
    }
}

/// What is known of a call that bounds its usage.
pub(super) struct UsageBound<'a> {
    pub(super) call: &'a Call,
    pub(super) answers: Answers,
    /// The window of its model, where that is listed.
    pub(super) window: Option<&'a Window>,
    /// Of the answer. Unit: bytes.
    pub(super) received: u64,
}

impl UsageBound<'_> {
    /// Whether the model can have read and written as much as the host states.
    pub(super) fn allows(&self, usage: &Usage) -> bool {
        let Some((input, output)) = usage.input_and_output() else {
            return true;
        };
        self.fits_window(input, output) && self.allows_input(input) && self.allows_output(output)
    }

    fn fits_window(&self, input: u64, output: u64) -> bool {
        let read = self.call.model_call();
        let is_embedding = read.is_some_and(|call| call.dialect.is_embedding());
        // Each of the texts to embed has the window to itself, and the bytes bound them all.
        let window = self.window.filter(|_| !is_embedding);
        let window = window.map_or(UNKNOWN_WINDOW, |window| window.context);
        input.saturating_add(output) <= window.saturating_mul(self.answers.all.into())
    }

    fn allows_input(&self, input: u64) -> bool {
        self.call.body().is_none_or(|body| {
            input <= (body.len() as u64).saturating_add(ADDED_BY_HOST) || names_outside(body)
        })
    }

    /// An answer is bounded by its ceiling, or it can be seen: a token that was sent has a byte at least. So thoughts that a
    /// ceiling does not count are believed where they are sent.
    fn allows_output(&self, output: u64) -> bool {
        let read = self.call.model_call();
        let ceiling = read.and_then(|call| call.output_ceiling);
        self.is_at_most(output, ceiling, self.answers.all) || self.is_rare_output(output, ceiling)
    }

    // Hardly any answer comes here: the body is searched for what makes its answer longer.
    #[cold]
    fn is_rare_output(&self, output: u64, ceiling: Option<u64>) -> bool {
        let body = self.call.body().map_or(&[][..], |body| body);
        let ceiling = ceiling.filter(|_| !names_host_tools(body));
        // Candidates that were written and not sent are counted too.
        let written = self.call.model_call().map_or(1, |call| call.answers);
        self.is_at_most(output, ceiling, written)
    }

    fn is_at_most(&self, output: u64, ceiling: Option<u64>, answers: u32) -> bool {
        let ceiling = ceiling.unwrap_or_else(|| {
            let answer = self.window.and_then(|it| it.max_output);
            let reasoning = self.window.and_then(|it| it.max_reasoning);
            let answer = answer.unwrap_or(LONGEST_ANSWER);
            answer.saturating_add(reasoning.unwrap_or(LONGEST_REASONING))
        });
        let beyond = match self.window {
            Some(_) => BEYOND_ANSWER,
            None => BEYOND_ANSWER_OF_UNKNOWN,
        };
        let answers = u64::from(answers);
        let most = ceiling.saturating_mul(answers).max(self.received);
        output <= most.saturating_add(beyond.saturating_mul(answers))
    }
}

/// Whether the host is one that states the usage of one answer where a whole JSON answer has several.
// llama-server (run, 11434): of several prompts it states the first one's input too.
pub(super) fn states_one(headers: &HeaderMap) -> bool {
    headers
        .get(SERVER)
        .is_some_and(|server| server.as_bytes() == b"llama.cpp")
}

/// The usage of all answers, by that of one. An estimate: answers differ in length.
pub(super) fn of_all_answers(one: Usage, answers: Answers, input_estimate: Option<u64>) -> Usage {
    let has_prompts = answers.all > answers.per_prompt;
    let all = u64::from(answers.all);
    Usage {
        input_tokens: one.input_tokens.max(input_estimate.filter(|_| has_prompts)),
        output_tokens: one.output_tokens.map(|output| output.saturating_mul(all)),
        ..Usage::default()
    }
}

/// Whether a stated output can be that of all answers of a call, by the text that they hold.
// A gateway may hide which host it is. One answer of two is half of the text; estimates of it are
// off by a seventh in one of twenty cases, so the border is between the half and the whole.
pub(super) fn is_of_all_answers(usage: &Usage, delivered: u64, answers: Answers) -> bool {
    let output = usage.output_tokens.unwrap_or(u64::MAX);
    answers.all < 2 || output.saturating_mul(4) >= delivered.saturating_mul(3)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::FutureExt;
    use http::Request;
    use http_body_util::Full;
    use serde_json::Value;

    use super::*;
    use crate::call::{ReadCall, ReadOptions};

    const CHAT: &str = "/compatible-mode/v1/chat/completions";
    const COMPLETIONS: &str = "/v1/completions";
    const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

    fn call(path: &str, body: &str) -> Arc<Call> {
        let body = Full::<Bytes>::from(body.to_owned());
        let request = Request::post(path).body(body).expect("a request");
        let read = ReadCall::new(request, &ReadOptions::default());
        let request = read.now_or_never().expect("ready").expect("readable");
        Arc::clone(Call::of(&request).expect("a call"))
    }

    /// The most output that is believed.
    fn most(path: &str, body: &str, window: Option<Window>, received: u64) -> u64 {
        let call = call(path, body);
        let bound = UsageBound {
            call: &call,
            answers: Answers::of(&call),
            window: window.as_ref(),
            received,
        };
        let (mut least, mut most) = (0_u64, 1_u64 << 40);
        while least < most {
            let middle = (least + most).div_ceil(2);
            match bound.allows(&Usage::new(1, middle)) {
                true => least = middle,
                false => most = middle - 1,
            }
        }
        least
    }

    #[test]
    fn an_output_is_bounded_by_what_its_call_allows() {
        let plus = Window::new(1_000_000)
            .max_output(32_768)
            .max_reasoning(81_920);
        for (path, body, window, received, expected) in [
            (CHAT, r#"{"max_tokens":50}"#, Some(plus), 300, 300 + 8_192),
            (CHAT, r#"{"max_tokens":50}"#, None, 300, 300 + 32_768),
            (
                CHAT,
                r#"{"max_completion_tokens":50}"#,
                Some(plus),
                0,
                50 + 8_192,
            ),
            (
                CHAT,
                r#"{"max_tokens":50,"n":4}"#,
                Some(plus),
                0,
                4 * (50 + 8_192),
            ),
            (
                COMPLETIONS,
                r#"{"max_tokens":50,"prompt":["a","b"]}"#,
                Some(plus),
                0,
                2 * (50 + 8_192),
            ),
            (
                COMPLETIONS,
                r#"{"max_tokens":50,"best_of":3,"prompt":["a","b"]}"#,
                Some(plus),
                0,
                6 * (50 + 8_192),
            ),
            (
                COMPLETIONS,
                r#"{"max_tokens":50,"best_of":2,"n":3,"prompt":"a"}"#,
                Some(plus),
                0,
                3 * (50 + 8_192),
            ),
            (
                NATIVE,
                r#"{"parameters":{"max_tokens":50}}"#,
                Some(plus),
                0,
                50 + 8_192,
            ),
            (
                "/v1/responses",
                r#"{"max_output_tokens":50}"#,
                Some(plus),
                0,
                50 + 8_192,
            ),
            (
                "/v1/messages",
                r#"{"max_tokens":50}"#,
                Some(plus),
                0,
                50 + 8_192,
            ),
            // Thoughts come to it: so many where it says how many, else as many as the model has.
            (
                CHAT,
                r#"{"max_tokens":50,"thinking_budget":100}"#,
                Some(plus),
                0,
                150 + 8_192,
            ),
            (
                CHAT,
                r#"{"max_tokens":50,"enable_thinking":true}"#,
                Some(plus),
                0,
                114_688 + 8_192,
            ),
            // What a tool of the host is given is in no answer.
            (
                CHAT,
                r#"{"max_tokens":50,"enable_search":true}"#,
                Some(plus),
                0,
                114_688 + 8_192,
            ),
            // A long answer is its own proof.
            (CHAT, r#"{"max_tokens":50}"#, Some(plus), 100_000, 108_192),
            (CHAT, "{}", Some(plus), 0, 114_688 + 8_192),
            (CHAT, "{}", Some(plus), 500_000, 508_192),
            (CHAT, "{}", Some(Window::new(200_000)), 0, 199_999),
            (CHAT, "{}", None, 0, 393_216 + 32_768),
            // No lie of bytes goes beyond the window.
            (CHAT, "{}", Some(plus), 1 << 30, 999_999),
            (
                CHAT,
                r#"{"max_tokens":18446744073709551615,"n":9}"#,
                Some(plus),
                0,
                8_999_999,
            ),
        ] {
            assert_eq!(most(path, body, window, received), expected, "{body}");
        }
    }

    #[test]
    fn no_listed_model_writes_more_than_is_assumed_of_others() {
        let rows = include_str!("../../data/windows.json");
        let rows: Vec<Value> = serde_json::from_str(rows).expect("rows");
        for row in rows {
            for (name, most) in [
                ("max_output", LONGEST_ANSWER),
                ("max_reasoning", LONGEST_REASONING),
                ("context", UNKNOWN_WINDOW),
            ] {
                assert!(row[name].as_u64().unwrap_or(0) <= most, "{row}");
            }
        }
    }

    proptest::proptest! {
        /// A believed usage is never above what the call can have cost, and one that is within its ceiling is believed.
        #[test]
        fn what_is_believed_can_have_cost_so_much(
            ceiling in 1_u64..200_000,
            answers in 1_u64..6,
            received in 0_u64..300_000,
            stated in 0_u64..2_000_000,
            (context, output, reasoning) in (300_000_u64..2_000_000, 1_u64..100_000, 1_u64..100_000),
            (is_stated, is_listed) in proptest::prelude::any::<(bool, bool)>(),
        ) {
            let window = Window::new(context).max_output(output).max_reasoning(reasoning);
            let window = Some(window).filter(|_| is_listed);
            let body = match is_stated {
                true => format!(r#"{{"n":{answers},"max_tokens":{ceiling}}}"#),
                false => format!(r#"{{"n":{answers}}}"#),
            };
            let call = call(CHAT, &body);
            let bound = UsageBound {
                call: &call,
                answers: Answers::of(&call),
                window: window.as_ref(),
                received,
            };
            let is_believed = bound.allows(&Usage::new(1, stated));
            let (answer, beyond) = match (is_stated, is_listed) {
                (true, _) => (ceiling, if is_listed { 8_192 } else { 32_768 }),
                (false, true) => (output + reasoning, 8_192),
                (false, false) => (131_072 + 262_144, 32_768),
            };
            let honest = (answer * answers).max(received);
            let window = answers * if is_listed { context } else { 10_000_000 };
            if is_believed {
                proptest::prop_assert!(stated <= honest + beyond * answers && stated < window);
            }
            if stated <= honest && stated < window {
                proptest::prop_assert!(is_believed);
            }
        }
    }
}
