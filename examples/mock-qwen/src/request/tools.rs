//! Tools, as the template of Qwen writes them into the prompt.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value, json};

const BEFORE: &str = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n\
                      You are provided with function signatures within <tools></tools> XML tags:\n\
                      <tools>";
const AFTER: &str = "\n</tools>\n\nFor each function call, return a json object with function name \
                     and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n\
                     {\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";

/// Adds the tools to the system's message, or makes one before all others.
pub(super) fn add(contents: &mut Vec<String>, has_system: &mut bool, tools: &Value) {
    let tools = tools.as_array().map_or(&[][..], Vec::as_slice);
    if tools.is_empty() {
        return;
    }
    let mut text = BEFORE.to_owned();
    for tool in tools {
        text.push('\n');
        text.push_str(&spaced(tool));
    }
    text.push_str(AFTER);
    match contents.first_mut() {
        Some(system) if *has_system => {
            system.push_str("\n\n");
            system.push_str(&text);
        }
        _ => contents.insert(0, text),
    }
    *has_system = true;
}

/// A call of a function that the answer has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// JSON.
    pub(crate) arguments: String,
}

/// The call that a request requires: of the function that its `tool_choice` names, or of its first one. `None` where the
/// model may choose, which here means a text, unless the user's last message says `Call NAME.` of one of the functions.
pub(super) fn required(tools: &Value, choice: &Value, last: Option<&Value>) -> Option<ToolCall> {
    let tools = tools.as_array()?;
    let named = [&choice["function"]["name"], &choice["name"]];
    let kind = choice.as_str().or(choice["type"].as_str());
    let is_asked = |tool: &Value| match (named.iter().find_map(|name| name.as_str()), kind) {
        (Some(wanted), _) => function(tool)["name"] == wanted,
        (None, Some("required" | "any")) => true,
        (None, Some("none")) => false,
        _ => last.is_some_and(|message| asks_for(message, &function(tool)["name"])),
    };
    let function = function(tools.iter().find(|tool| is_asked(tool))?);
    // As OpenAI, Anthropic and all others name it.
    let schema = match &function["parameters"] {
        Value::Null => &function["input_schema"],
        schema => schema,
    };
    Some(ToolCall {
        name: function["name"].as_str()?.to_owned(),
        arguments: spaced(&example(schema)),
    })
}

/// A tool stands in a member of its own, or is the function itself.
fn function(tool: &Value) -> &Value {
    match &tool["function"] {
        Value::Null => tool,
        function => function,
    }
}

fn asks_for(message: &Value, name: &Value) -> bool {
    let text = match &message["content"] {
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            Cow::Owned(texts.collect::<String>())
        }
        content => Cow::Borrowed(content.as_str().unwrap_or_default()),
    };
    let name = name.as_str().unwrap_or_default();
    message["role"] == "user" && text.contains(&format!("Call {name}."))
}

/// A value that a schema allows, with no more than what it requires.
fn example(schema: &Value) -> Value {
    let first = |list: &Value| list.get(0).cloned();
    if let Some(value) = first(&schema["enum"]) {
        return value;
    }
    match schema["type"].as_str() {
        Some("string") => "river".into(),
        Some("integer" | "number") => schema["minimum"].as_u64().unwrap_or(1).into(),
        Some("boolean") => true.into(),
        Some("array") => json!([example(&schema["items"])]),
        _ => {
            let names = schema["required"].as_array().into_iter().flatten();
            let member = |name: &str| (name.to_owned(), example(&schema["properties"][name]));
            let members: Map<_, _> = names.filter_map(Value::as_str).map(member).collect();
            members.into()
        }
    }
}

/// JSON with the spaces that Python puts after `,` and `:`, as templates do.
pub(super) fn spaced(value: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Spaced);
    // Neither a value nor a vector of bytes has anything that fails.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_written_as_the_template_does() {
        let tools = json!([{ "function": { "name": "f" }, "type": "function" }]);
        let mut contents = vec!["hello".to_owned()];
        add(&mut contents, &mut false, &tools);
        assert_eq!(contents.len(), 2);
        let json =
            "\n<tools>\n{\"function\": {\"name\": \"f\"}, \"type\": \"function\"}\n</tools>\n";
        assert!(contents[0].starts_with("# Tools\n\n") && contents[0].contains(json));
        let mut contents = vec!["be kind".to_owned(), "hello".to_owned()];
        add(&mut contents, &mut true, &tools);
        assert_eq!(contents.len(), 2);
        assert!(contents[0].starts_with("be kind\n\n# Tools\n\n"));
        add(&mut contents, &mut true, &json!([]));
        assert_eq!(contents.len(), 2);
    }

    #[test]
    fn a_call_is_required_by_the_choice_or_in_words() {
        let tools = json!([
            { "type": "function", "function": { "name": "tide" } },
            { "type": "function", "name": "depth" },
            { "name": "level", "input_schema": { "type": "object" } },
        ]);
        let user =
            |text: &str| json!({ "role": "user", "content": [{ "type": "text", "text": text }] });
        let name = |choice: Value, last: &Value| {
            required(&tools, &choice, Some(last)).map(|call| call.name)
        };
        let plain = user("How deep is it?");
        for (choice, expected) in [
            (json!("required"), Some("tide")),
            (json!({ "type": "any" }), Some("tide")),
            (
                json!({ "type": "function", "function": { "name": "depth" } }),
                Some("depth"),
            ),
            (
                json!({ "type": "function", "name": "depth" }),
                Some("depth"),
            ),
            (json!({ "type": "tool", "name": "level" }), Some("level")),
            (json!({ "type": "tool", "name": "other" }), None),
            (json!("auto"), None),
            (json!({ "type": "auto" }), None),
            (json!(null), None),
        ] {
            assert_eq!(
                name(choice.clone(), &plain).as_deref(),
                expected,
                "{choice}"
            );
        }
        let words = user("Call depth.");
        for (choice, expected) in [
            (json!(null), Some("depth")),
            (json!("auto"), Some("depth")),
            (json!({ "type": "auto" }), Some("depth")),
            (json!("none"), None),
            (json!({ "type": "none" }), None),
        ] {
            assert_eq!(
                name(choice.clone(), &words).as_deref(),
                expected,
                "{choice}"
            );
        }
        assert_eq!(
            name(
                json!("auto"),
                &json!({ "role": "tool", "content": "Call depth." })
            ),
            None
        );
        assert_eq!(required(&json!([]), &json!("required"), None), None);
    }

    #[test]
    fn arguments_are_what_the_schema_requires() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "unit": { "type": "string", "enum": ["celsius", "kelvin"] },
                "days": { "type": "array", "items": { "type": "integer", "minimum": 3 } },
                "exact": { "type": "boolean" },
                "where": { "type": "object", "properties": { "x": { "type": "number" } }, "required": ["x"] },
                "other": { "type": "string" },
            },
            "required": ["city", "unit", "days", "exact", "where"],
        });
        let expected = json!({ "city": "river", "unit": "celsius", "days": [3], "exact": true, "where": { "x": 1 } });
        assert_eq!(example(&schema), expected);
        assert_eq!(example(&json!(null)), json!({}));
    }
}
