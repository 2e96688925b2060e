//! The texts of a prompt.

use serde_json::Value;

use super::Prompt;
use super::tools;
use crate::wire::Problem;

const ROLE: &str = "Role must be user or assistant and Content length must be greater than 0";

/// The texts of a chat, with what stands before it and the tools in its first.
pub(super) fn chat(
    messages: &Value,
    system: Option<&Value>,
    tools: &Value,
) -> Result<Vec<String>, Problem> {
    let messages = messages.as_array().map_or(&[][..], Vec::as_slice);
    if messages.is_empty() {
        return Err(Problem::invalid("messages must not be empty"));
    }
    let mut contents = Vec::with_capacity(messages.len() + 1);
    contents.extend(system.map(text).filter(|text| !text.is_empty()));
    let mut has_system = !contents.is_empty() || is_system(&messages[0]);
    for message in messages {
        contents.push(content(message)?);
    }
    tools::add(&mut contents, &mut has_system, tools);
    Ok(contents)
}

/// The texts of what the Responses interface takes: a text, or items.
pub(super) fn items(
    input: &Value,
    instructions: &Value,
    tools: &Value,
) -> Result<Vec<String>, Problem> {
    let mut contents: Vec<String> = instructions
        .as_str()
        .map(str::to_owned)
        .into_iter()
        .collect();
    let mut has_system = !contents.is_empty();
    match input {
        Value::String(text) if !text.is_empty() => contents.push(text.clone()),
        Value::Array(items) if !items.is_empty() => {
            has_system |= is_system(&items[0]);
            for item in items {
                contents.push(match item["type"].as_str() {
                    None | Some("message") => content(item)?,
                    Some("function_call") => called(&item["name"], &item["arguments"]),
                    Some(_) => text(&item["output"]),
                });
            }
        }
        _ => return Err(Problem::invalid("input must not be empty")),
    }
    tools::add(&mut contents, &mut has_system, tools);
    Ok(contents)
}

/// A text, or several.
pub(super) fn texts(value: &Value, name: &str) -> Result<Vec<Prompt>, Problem> {
    let texts: Option<Vec<Prompt>> = match value {
        Value::String(text) => Some(vec![Prompt::Text(text.clone())]),
        Value::Array(texts) => texts
            .iter()
            .map(|text| text.as_str().map(|text| Prompt::Text(text.to_owned())))
            .collect(),
        _ => None,
    };
    texts
        .filter(|texts| !texts.is_empty())
        .ok_or_else(|| Problem::invalid(format!("{name} must be a text or a list of texts")))
}

fn is_system(message: &Value) -> bool {
    matches!(message["role"].as_str(), Some("system" | "developer"))
}

fn content(message: &Value) -> Result<String, Problem> {
    let role = message["role"].as_str().unwrap_or_default();
    let mut text = text(&message["content"]);
    match role {
        "user" if text.is_empty() && message["content"].is_string() => {
            return Err(Problem::invalid(ROLE));
        }
        "system" | "developer" | "user" | "assistant" | "tool" | "function" => {}
        _ => return Err(Problem::invalid(ROLE)),
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        text.push_str(&called(&function["name"], &function["arguments"]));
    }
    Ok(text)
}

/// The text of a content: a string, or the text of its parts. Other parts are taken for empty.
fn text(content: &Value) -> String {
    let part = |part: &Value| match part["type"].as_str() {
        Some("tool_use") => called(&part["name"], &part["input"]),
        Some("tool_result") => text(&part["content"]),
        _ => part["text"].as_str().unwrap_or_default().to_owned(),
    };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => String::new(),
    }
}

/// A call of a tool, as the model wrote it.
fn called(name: &Value, arguments: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    let arguments = match arguments {
        Value::String(text) => text.clone(),
        arguments => tools::spaced(arguments),
    };
    format!("\n<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
}
