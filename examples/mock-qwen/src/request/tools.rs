//! Tools, as the template of Qwen writes them into the prompt.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

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
}
