//! The file of a job, read and checked.

use std::collections::HashSet;

use serde_json::Value;

use crate::config::Batches;
use crate::tokens::count_text;
use crate::wire::Dialect;

/// One request of a file.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) custom_id: String,
    pub(super) body: Value,
}

/// A file that was found good.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) lines: Vec<Line>,
    pub(super) model: String,
    /// Tokens of all prompts, near enough for a queue's limit.
    pub(super) tokens: u64,
}

/// What is wrong with a file, or with one line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<&'static str>,
    pub(crate) line: Option<u64>,
}

/// So many errors are told.
const MOST_ERRORS: usize = 100;

/// The interface that an endpoint of jobs stands for. Model Studio has these two, and one for tests.
pub(crate) fn dialect(endpoint: &str) -> Option<Dialect> {
    match endpoint {
        "/v1/chat/completions" => Some(Dialect::Compatible),
        "/v1/embeddings" => Some(Dialect::Embeddings),
        _ => None,
    }
}

impl LineError {
    /// An error of a whole file.
    pub(super) fn of_file(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            line: None,
        }
    }
}

/// Reads a file for an endpoint. `url_not_found` with its sentence is recorded (cnblogs/dashscope-sdk, 2026-04-17); the other
/// codes are OpenAI's (stdapi-ai/stdapi.ai#240, 2026-09-10).
pub(super) fn read(file: &[u8], endpoint: &str, limits: &Batches) -> Result<Input, Vec<LineError>> {
    if file.len() > limits.file_bytes {
        let message = format!("The file has more than {} bytes.", limits.file_bytes);
        return Err(vec![LineError::of_file("file_too_large", message)]);
    }
    let mut input = Input {
        lines: Vec::new(),
        model: String::new(),
        tokens: 0,
    };
    let mut seen = HashSet::new();
    let mut errors = Vec::new();
    for (index, line) in file.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_line(line, endpoint, limits, &input.model, &mut seen) {
            Ok((line, model)) => {
                input.tokens += count_text(&line.body.to_string());
                input.model = model;
                input.lines.push(line);
            }
            Err(error) if errors.len() < MOST_ERRORS => errors.push(LineError {
                line: Some(index as u64 + 1),
                ..error
            }),
            Err(_) => {}
        }
    }
    if input.lines.len() > limits.lines {
        let message = format!("The file has more than {} lines.", limits.lines);
        errors.insert(0, LineError::of_file("too_many_tasks", message));
    }
    if input.lines.is_empty() && errors.is_empty() {
        errors.push(LineError::of_file("empty_file", "The file is empty."));
    }
    match errors.is_empty() {
        true => Ok(input),
        false => Err(errors),
    }
}

/// A line and its model, which is that of the lines before; empty where there is none.
fn read_line(
    line: &[u8],
    endpoint: &str,
    limits: &Batches,
    model_before: &str,
    seen: &mut HashSet<String>,
) -> Result<(Line, String), LineError> {
    let error = |code, param, message: String| LineError {
        code,
        message,
        param: Some(param),
        line: None,
    };
    if line.len() > limits.line_bytes {
        let message = format!("The line has more than {} bytes.", limits.line_bytes);
        return Err(error("line_too_large", "body", message));
    }
    let mut line: Value = serde_json::from_slice(line).map_err(|_| {
        let message = "This line is not parseable as valid JSON.".to_owned();
        error("invalid_json_line", "line", message)
    })?;
    let custom_id = line["custom_id"].as_str().unwrap_or_default().to_owned();
    if custom_id.is_empty() {
        let message = "The custom_id is missing.".to_owned();
        return Err(error("missing_required_parameter", "custom_id", message));
    }
    if line["method"] != "POST" {
        let message = "The method has to be POST.".to_owned();
        return Err(error("invalid_method", "method", message));
    }
    let url = line["url"].as_str().unwrap_or_default();
    if dialect(url).is_none() {
        let message = format!("The provided url '{url}' is not supported by the Batch API.");
        return Err(error("url_not_found", "url", message));
    }
    if url != endpoint {
        let message =
            format!("The provided url '{url}' does not match the batch endpoint '{endpoint}'.");
        return Err(error("url_mismatch", "url", message));
    }
    let model = line["body"]["model"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if model.is_empty() || !model_before.is_empty() && model != model_before {
        let message = format!("The provided model '{model}' does not match '{model_before}'.");
        return Err(error("model_mismatch", "body.model", message));
    }
    if !seen.insert(custom_id.clone()) {
        let message = format!("The custom_id '{custom_id}' stands on an earlier line.");
        return Err(error("duplicate_custom_id", "custom_id", message));
    }
    let mut body = line["body"].take();
    if let Some(body) = body.as_object_mut() {
        // Streams are put together: the documents' example of a thinking model asks for one, and its answer is whole.
        body.remove("stream");
        body.remove("stream_options");
    }
    Ok((Line { custom_id, body }, model))
}
