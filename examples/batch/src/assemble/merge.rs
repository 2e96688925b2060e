//! How the pieces of a message become the message.

use serde_json::{Map, Value};

/// Adds a piece to what came before: texts grow, lists of pieces with an `index` are joined by it, and everything else
/// is replaced by what came last, unless that is null or empty.
pub(super) fn merge(whole: &mut Map<String, Value>, piece: Map<String, Value>) {
    for (key, value) in piece {
        match whole.get_mut(&key) {
            Some(before) => merge_value(&key, before, value),
            None => {
                let value = match value {
                    Value::Array(items) => {
                        let mut list = Value::Array(Vec::new());
                        merge_value(&key, &mut list, Value::Array(items));
                        list
                    }
                    other => other,
                };
                whole.insert(key, value);
            }
        }
    }
}

fn merge_value(key: &str, before: &mut Value, piece: Value) {
    match (before, piece) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => {
            if grows(key) {
                text.push_str(&more);
            } else if !more.is_empty() {
                *text = more;
            }
        }
        (Value::Object(whole), Value::Object(piece)) => merge(whole, piece),
        (Value::Array(list), Value::Array(items)) => {
            for (position, item) in items.into_iter().enumerate() {
                merge_item(key, list, position, item);
            }
        }
        (before, piece) => *before = piece,
    }
}

/// The keys whose texts come in pieces. All others (`role`, `id`, `type`, `name`) come whole, some of them repeatedly.
fn grows(key: &str) -> bool {
    matches!(
        key,
        "content" | "refusal" | "text" | "arguments"
            // Thoughts, by the name that each host gives them, and their parts (`reasoning_details`).
            | "reasoning_content" | "reasoning" | "reasoning_text" | "thinking" | "summary"
            // Of `audio`: sound in base64, and its words.
            | "data" | "transcript"
            // Of a tool call whose argument is text alone.
            | "input"
    )
}

fn merge_item(key: &str, list: &mut Vec<Value>, position: usize, item: Value) {
    let index = item.get("index").and_then(Value::as_u64);
    let place = match (&item, index) {
        (Value::Object(_), Some(index)) => list
            .iter()
            .position(|other| other.get("index").and_then(Value::as_u64) == Some(index)),
        (Value::Object(piece), None) if key == "content" && piece.contains_key("text") => list
            .get(position)
            .is_some_and(|other| other.get("text").is_some())
            .then_some(position),
        (Value::Object(_), None) if key == "tool_calls" => {
            (position < list.len()).then_some(position)
        }
        _ => None,
    };
    match (place.and_then(|place| list.get_mut(place)), item) {
        (Some(Value::Object(whole)), Value::Object(piece)) => merge(whole, piece),
        (_, item) => list.push(item),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(pieces: &[Value]) -> Value {
        let mut whole = Map::new();
        for piece in pieces {
            if let Value::Object(piece) = piece {
                merge(&mut whole, piece.clone());
            }
        }
        Value::Object(whole)
    }

    #[test]
    fn texts_grow_and_names_do_not() {
        assert_eq!(
            merged(&[
                json!({"role": "assistant", "content": "", "reasoning_content": null}),
                json!({"role": "assistant", "content": "你", "reasoning_content": "a"}),
                json!({"content": "好", "reasoning_content": "b"}),
                json!({"content": null, "role": ""}),
            ]),
            json!({"role": "assistant", "content": "你好", "reasoning_content": "ab"})
        );
    }

    #[test]
    fn thoughts_grow_under_every_name_and_so_do_sounds() {
        for key in [
            "reasoning_content",
            "reasoning",
            "reasoning_text",
            "thinking",
        ] {
            assert_eq!(
                merged(&[
                    json!({key: "Hmm, "}),
                    json!({key: "let me see"}),
                    json!({key: null})
                ]),
                json!({key: "Hmm, let me see"})
            );
        }
        let detail = |text| json!({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": text}]});
        assert_eq!(merged(&[detail("Hmm, "), detail("so")]), detail("Hmm, so"));
        let sound = |data, words| json!({"audio": {"id": "a", "data": data, "transcript": words}});
        assert_eq!(
            merged(&[sound("AAAA", "Hel"), sound("BBBB", "lo")]),
            sound("AAAABBBB", "Hello")
        );
    }

    #[test]
    fn pieces_of_tool_calls_are_joined_by_index() {
        assert_eq!(
            merged(&[
                json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "["}}]}),
                json!({"tool_calls": [
                    {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
                    {"index": 1, "id": "", "function": {"name": "", "arguments": "]"}},
                ]}),
                json!({"tool_calls": [{"index": 0, "function": {"name": null, "arguments": "}"}}]}),
            ]),
            json!({"tool_calls": [
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": "[]"}},
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            ]})
        );
        assert_eq!(
            merged(&[
                json!({"tool_calls": [{"id": "a", "function": {"arguments": "{"}}]}),
                json!({"tool_calls": [{"id": "", "function": {"arguments": "}"}}]}),
            ]),
            json!({"tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]})
        );
    }

    #[test]
    fn parts_of_content_grow_and_other_lists_are_appended_to() {
        assert_eq!(
            merged(&[
                json!({"content": [{"text": "a"}], "logprobs": {"content": [{"token": "a"}]}}),
                json!({"content": [{"text": "b"}], "logprobs": {"content": [{"token": "b"}]}}),
                json!({"content": [], "logprobs": null}),
                json!({"content": [{"image": "u"}]}),
            ]),
            json!({
                "content": [{"text": "ab"}, {"image": "u"}],
                "logprobs": {"content": [{"token": "a"}, {"token": "b"}]},
            })
        );
    }
}
