//! A whole stream.

use std::fmt;

use serde_json::{Map, Value};
use tower_qwen_tokens::Verdict;

use super::{
    Event, Events,
    merge::merge,
    raw::{quoted, unquoted},
    sse::ERROR,
};

/// Puts a stream together. Holds the answer, its texts as they were written, and one event at a time.
///
/// As lenient as the standard and the Meter: what is no object (a beat of the heart, `null`, some word) is passed over, and
/// of documents that are glued together each is read.
#[derive(Debug)]
pub struct Assembler {
    events: Events,
    native: bool,
    answer: Map<String, Value>,
    choices: Vec<Value>,
    done: bool,
    failed: Option<StreamError>,
}

/// Why a stream is no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamError {
    /// The provider said so in an event.
    Event {
        /// What it said.
        verdict: Verdict,
        /// The event's data.
        data: String,
    },
    /// It ended before the answer did.
    Cut,
    /// An event was not what it should be.
    Malformed,
}

impl Assembler {
    /// Puts together a stream of DashScope's own shape (`native`), or of the compatible one.
    #[must_use]
    pub fn new(native: bool) -> Self {
        Self {
            events: Events::default(),
            native,
            answer: Map::new(),
            choices: Vec::new(),
            done: false,
            failed: None,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut events = std::mem::take(&mut self.events);
        events.push(bytes, |event| self.take(&event));
        self.events = events;
    }

    /// Whether the provider has broken the stream off with an error.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.failed, Some(StreamError::Event { .. }))
    }

    /// The stream has ended. Returns an answer in the shape of one that was not streamed, as JSON.
    ///
    /// # Errors
    ///
    /// The [`StreamError`] for which it is no answer.
    pub fn finish(mut self) -> Result<String, StreamError> {
        std::mem::take(&mut self.events).finish(|event| {
            let was_whole = self.is_whole();
            self.take(&event);
            if matches!(self.failed, Some(StreamError::Malformed)) {
                self.failed = (!was_whole).then_some(StreamError::Cut);
            }
        });
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if !self.is_whole() {
            return Err(StreamError::Cut);
        }
        let body = Value::Object(if self.native {
            self.native_body()
        } else {
            self.compatible_body()
        });
        Ok(unquoted(&body.to_string()))
    }

    fn take(&mut self, event: &Event) {
        if self.failed.is_some() || self.done {
            return;
        }
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return;
        }
        if let Some(verdict) = verdict(event) {
            self.failed = Some(StreamError::Event {
                verdict,
                data: event.data.clone(),
            });
            return;
        }
        let json = quoted(&event.data);
        for document in serde_json::Deserializer::from_str(&json).into_iter::<Value>() {
            match document {
                Ok(Value::Object(piece)) => self.merge(piece),
                Ok(_) => {}
                // Some word between the pieces of the answer. A piece would begin like one.
                Err(_) if !event.data.trim_start().starts_with('{') => return,
                Err(_) => {
                    self.failed = Some(StreamError::Malformed);
                    return;
                }
            }
        }
    }

    fn merge(&mut self, mut piece: Map<String, Value>) {
        let usage = piece.remove("usage");
        if self.native {
            if let Some(Value::Object(mut output)) = piece.remove("output") {
                self.merge_choices(output.remove("choices"));
                drop_null_text(&mut output, "finish_reason");
                let whole = self
                    .answer
                    .entry("output")
                    .or_insert_with(|| Map::new().into());
                if let Value::Object(whole) = whole {
                    merge(whole, output);
                }
            }
        } else {
            self.merge_choices(piece.remove("choices"));
        }
        merge(&mut self.answer, piece);
        if let Some(usage @ Value::Object(_)) = usage {
            self.answer.insert("usage".to_owned(), without_nulls(usage));
        }
    }

    fn merge_choices(&mut self, choices: Option<Value>) {
        let Some(Value::Array(choices)) = choices else {
            return;
        };
        for (position, choice) in choices.into_iter().enumerate() {
            let Value::Object(mut choice) = choice else {
                continue;
            };
            if let Some(delta) = choice.remove("delta") {
                choice.insert("message".to_owned(), delta);
            }
            drop_null_text(&mut choice, "finish_reason");
            let index = choice.get("index").cloned();
            let place = match &index {
                Some(index) => self
                    .choices
                    .iter()
                    .position(|other| other.get("index") == Some(index)),
                None => (position < self.choices.len()).then_some(position),
            };
            let place = place.unwrap_or_else(|| {
                self.choices.push(Map::new().into());
                self.choices.len() - 1
            });
            if let Some(Value::Object(whole)) = self.choices.get_mut(place) {
                merge(whole, choice);
            }
        }
    }

    /// Whether the answer is complete: the stream said so, or every choice gave a reason for its end.
    fn is_whole(&self) -> bool {
        let is_reason = |reason: &str| !matches!(reason, "" | "null");
        let finished = |of: Option<&Value>| of.and_then(Value::as_str).is_some_and(is_reason);
        let output = self.answer.get("output");
        // An end is the end of something.
        (self.done && (output.is_some() || !self.choices.is_empty()))
            || finished(output.and_then(|output| output.get("finish_reason")))
            || (!self.choices.is_empty()
                && self
                    .choices
                    .iter()
                    .all(|choice| finished(choice.get("finish_reason"))))
    }

    fn compatible_body(mut self) -> Map<String, Value> {
        if let Some(Value::String(object)) = self.answer.get_mut("object")
            && let Some(whole) = object.strip_suffix(".chunk")
        {
            *object = whole.to_owned();
        }
        self.choices
            .sort_by_key(|choice| choice.get("index").and_then(Value::as_u64));
        self.answer
            .insert("choices".to_owned(), self.choices.into());
        self.answer
    }

    fn native_body(mut self) -> Map<String, Value> {
        if !self.choices.is_empty()
            && let Some(Value::Object(output)) = self.answer.get_mut("output")
        {
            output.insert("choices".to_owned(), self.choices.into());
        }
        self.answer
    }
}

/// Why the provider breaks the stream off, if this event says so.
fn verdict(event: &Event) -> Option<Verdict> {
    Verdict::of_event(event.data.as_bytes(), event.status).or_else(|| {
        // Its name says that it is an error, whatever its words are.
        let words = Some(&*event.data).filter(|words| !words.is_empty());
        let error = serde_json::json!({ "error": words.unwrap_or(ERROR) }).to_string();
        (event.name == ERROR)
            .then(|| Verdict::of_event(error.as_bytes(), event.status))
            .flatten()
    })
}

/// The native shape writes the text `null` while there is no reason yet.
fn drop_null_text(piece: &mut Map<String, Value>, key: &str) {
    if piece.get(key).is_some_and(|value| value == "null") {
        piece.insert(key.to_owned(), Value::Null);
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event { .. } => "the provider broke the stream off",
            Self::Cut => "the stream ended before the answer did",
            Self::Malformed => "an event of the stream cannot be read",
        })
    }
}

impl std::error::Error for StreamError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assemble(native: bool, text: &str) -> Result<Value, StreamError> {
        let mut assembler = Assembler::new(native);
        for chunk in text.as_bytes().chunks(5) {
            assembler.push(chunk);
        }
        let body = assembler.finish()?;
        Ok(serde_json::from_str(&body).expect("an answer is JSON"))
    }

    fn stream(events: &[Value]) -> String {
        events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect()
    }

    fn chunk(index: u64, delta: &Value, finish: &Value) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "qwen-plus",
            "system_fingerprint": null, "usage": null,
            "choices": [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": null}],
        })
    }

    #[test]
    fn several_choices_and_usage_of_the_compatible_shape() -> Result<(), StreamError> {
        let null = Value::Null;
        let text = stream(&[
            chunk(1, &json!({"role": "assistant", "content": ""}), &null),
            chunk(
                0,
                &json!({"role": "assistant", "content": "", "reasoning_content": null}),
                &null,
            ),
            chunk(0, &json!({"content": "a", "reasoning_content": "r"}), &null),
            chunk(1, &json!({"content": "x"}), &json!("length")),
            chunk(0, &json!({"content": "b"}), &json!("stop")),
            json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [],
                   "usage": {"prompt_tokens": 1, "completion_tokens_details": null, "total_tokens": 3}}),
        ]) + "data: [DONE]\n\n";
        assert_eq!(
            assemble(false, &text)?,
            json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "qwen-plus",
                "system_fingerprint": null,
                "choices": [
                    {"index": 0, "logprobs": null, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "ab", "reasoning_content": "r"}},
                    {"index": 1, "logprobs": null, "finish_reason": "length",
                     "message": {"role": "assistant", "content": "x"}},
                ],
                "usage": {"prompt_tokens": 1, "total_tokens": 3},
            })
        );
        Ok(())
    }

    #[test]
    fn completions_of_a_bare_prompt() -> Result<(), StreamError> {
        let piece = |text: &str, finish: Value| {
            json!({"id": "c", "object": "text_completion",
                   "choices": [{"index": 0, "text": text, "finish_reason": finish}]})
        };
        let text = stream(&[piece("a", Value::Null), piece("b", json!("stop"))]);
        assert_eq!(
            assemble(false, &text)?,
            json!({"id": "c", "object": "text_completion",
                   "choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}]})
        );
        Ok(())
    }

    #[test]
    fn both_formats_of_the_native_shape() -> Result<(), StreamError> {
        let event = |output: Value, used: u64| {
            let body =
                json!({"output": output, "usage": {"output_tokens": used}, "request_id": "r"});
            format!("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{body}\n\n")
        };
        let text = event(json!({"text": "1+", "finish_reason": "null"}), 1)
            + &event(json!({"text": "1", "finish_reason": "stop"}), 2);
        assert_eq!(
            assemble(true, &text)?,
            json!({"output": {"text": "1+1", "finish_reason": "stop"},
                   "usage": {"output_tokens": 2}, "request_id": "r"})
        );
        let message = |content: Value, finish: &str| json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": finish}]});
        let text = event(message(json!([{"text": "a"}]), "null"), 1)
            + &event(message(json!([{"text": "b"}]), "stop"), 2);
        assert_eq!(
            assemble(true, &text)?,
            json!({"output": message(json!([{"text": "ab"}]), "stop"),
                   "usage": {"output_tokens": 2}, "request_id": "r"})
        );
        Ok(())
    }

    #[test]
    fn an_error_event_is_the_outcome() {
        let text = stream(&[chunk(0, &json!({"content": "a"}), &Value::Null)])
            + "id:2\nevent:error\n:HTTP_STATUS/429\n\
               data:{\"code\":\"Throttling.AllocationQuota\",\"message\":\"m\",\"request_id\":\"r\"}\n\n";
        for native in [false, true] {
            match assemble(native, &text) {
                Err(StreamError::Event { verdict, .. }) => {
                    assert!(verdict.is_throttle());
                    assert_eq!(verdict.code(), Some("Throttling.AllocationQuota"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_piece_of_the_answer_is_passed_over() -> Result<(), StreamError> {
        let start = stream(&[chunk(0, &json!({"content": "a"}), &Value::Null)]);
        let end = stream(&[chunk(0, &json!({"content": "b"}), &json!("stop"))]);
        let expected = assemble(false, &(start.clone() + &end))?;
        for between in [
            "data:\n\n",
            "data\n\n",
            "data:\ndata:\n\n",
            "data: null\n\n",
            "data: ping\n\n",
            "data: \"ping\"\n\n",
            "data: []\n\n",
            "data: 1\n\n",
            "event: ping\ndata: {}\n\n",
            ": ping\n\n",
            "data: {\"choices\":null}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":null,\"finish_reason\":\"\"}]}\n\n",
        ] {
            let text = format!("{between}{start}{between}{end}{between}data: [DONE]\n\n{between}");
            assert_eq!(assemble(false, &text)?, expected, "{between}");
        }
        Ok(())
    }

    #[test]
    fn halves_of_a_pair_meet_over_events_and_other_texts_stay_as_written() {
        let event = |text: &str, finish: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        for (first, second) in [
            (r"\ud83d", r"\ude42"),
            (r"a\\\ud83d", r#"\ude42\u00e9\""#),
            ("", r"\ud83d"),
            (r"\n/\/", "你"),
        ] {
            let mut assembler = Assembler::new(false);
            assembler.push((event(first, "null") + &event(second, "\"stop\"")).as_bytes());
            assert_eq!(
                assembler.finish().expect("an answer"),
                format!(
                    "{{\"choices\":[{{\"finish_reason\":\"stop\",\"index\":0,\"message\":{{\"content\":\"{first}{second}\"}}}}]}}"
                )
            );
        }
    }

    #[test]
    fn documents_in_one_event_and_numbers_that_are_none_are_read() -> Result<(), StreamError> {
        let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"logprobs\":{\"x\":-Infinity}}]}\n\
                    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"x\":NaN,\"y\":1}}\n\n";
        assert_eq!(
            assemble(false, text)?,
            json!({"choices": [{"index": 0, "message": {"content": "ab"}, "logprobs": {"x": null}, "finish_reason": "stop"}],
                   "usage": {"y": 1}})
        );
        Ok(())
    }

    #[test]
    fn an_error_is_found_wherever_it_stands() {
        let start = stream(&[chunk(0, &json!({"content": "a"}), &Value::Null)]);
        for (error, is_throttle) in [
            ("{\"error\":{\"code\":429}}\n", true),
            ("data: {}\ndata: {\"error\":{\"code\":429}}\n\n", true),
            (
                "data: {\"choices\":[{\"del\ndata: {\"error\":{\"code\":429}}\n\n",
                true,
            ),
            ("event: error\ndata: upstream went away\n\n", false),
            ("event: error\ndata: {\"detail\":\"x\"}\n\n", false),
        ] {
            match assemble(false, &(start.clone() + error + "data: [DONE]\n\n")) {
                Err(StreamError::Event { verdict, .. }) => {
                    assert_eq!(verdict.is_throttle(), is_throttle, "{error}");
                }
                other => panic!("{error}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_before_its_end_is_no_answer() {
        let text = stream(&[
            chunk(0, &json!({"content": "a"}), &Value::Null),
            chunk(0, &json!({"content": "b"}), &json!("stop")),
        ]);
        let complete = text.len() - 2;
        for cut in 0..complete {
            assert!(
                matches!(assemble(false, &text[..cut]), Err(StreamError::Cut)),
                "{cut}"
            );
        }
        assert!(assemble(false, &text[..complete]).is_ok());
        assert!(assemble(false, &(text.clone() + "data: [DO")).is_ok());
        for (text, malformed) in [
            ("data: {\"choices\":[\n\ndata: [DONE]\n\n", true),
            ("data: nonsense\n\ndata: [DONE]\n\n", false),
            ("data: [DONE]\n\n", false),
            ("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", false),
        ] {
            let error = assemble(false, text).expect_err("no answer");
            assert_eq!(matches!(error, StreamError::Malformed), malformed, "{text}");
        }
        assert!(matches!(assemble(false, "<html>"), Err(StreamError::Cut)));
    }
}
