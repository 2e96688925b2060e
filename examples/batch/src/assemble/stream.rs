//! A whole stream.

use std::fmt;

use serde_json::{Map, Value};
use tower_qwen_tokens::Verdict;

use super::{Event, Events, merge::merge};

/// Puts a stream together. Holds the answer, and one event at a time.
#[derive(Debug)]
pub struct Assembler {
    events: Events,
    native: bool,
    answer: Map<String, Value>,
    choices: Vec<Value>,
    done: bool,
    failed: Option<StreamError>,
}

/// An answer in the shape of one that was not streamed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The body.
    pub body: Value,
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

    /// The stream has ended.
    ///
    /// # Errors
    ///
    /// The [`StreamError`] for which it is no answer.
    pub fn finish(mut self) -> Result<Assembled, StreamError> {
        if let Some(event) = std::mem::take(&mut self.events).finish() {
            let was_whole = self.is_whole();
            self.take(&event);
            if matches!(self.failed, Some(StreamError::Malformed)) {
                self.failed = (!was_whole).then_some(StreamError::Cut);
            }
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if !self.is_whole() {
            return Err(StreamError::Cut);
        }
        Ok(Assembled {
            body: Value::Object(if self.native {
                self.native_body()
            } else {
                self.compatible_body()
            }),
        })
    }

    fn take(&mut self, event: &Event) {
        if self.failed.is_some() || self.done {
            return;
        }
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return;
        }
        if let Some(verdict) = Verdict::of_event(event.data.as_bytes(), event.status) {
            self.failed = Some(StreamError::Event {
                verdict,
                data: event.data.clone(),
            });
            return;
        }
        match serde_json::from_str(&event.data) {
            Ok(Value::Object(piece)) if event.name != "error" => self.merge(piece),
            _ => self.failed = Some(StreamError::Malformed),
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
        let finished = |of: Option<&Value>| of.is_some_and(Value::is_string);
        let output = self.answer.get("output");
        self.done
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
        assembler.finish().map(|assembled| assembled.body)
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
        assert!(matches!(
            assemble(false, "data: nonsense\n\ndata: [DONE]\n\n"),
            Err(StreamError::Malformed)
        ));
        assert!(matches!(assemble(false, "<html>"), Err(StreamError::Cut)));
    }
}
