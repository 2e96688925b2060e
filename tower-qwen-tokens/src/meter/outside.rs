//! What a body names that it does not hold, and that its call pays all the same.

/// What adds to the prompt: places, files, earlier answers, prompts that the host keeps. Pictures, sounds and videos are here
/// too, as they have no limit of tokens per byte.
// As they stand in JSON: a quotation within a text has a backslash before its quote.
const OUTSIDE: [&str; 16] = [
    "://",
    ":\\/\\/",
    "data:",
    "\"file_id\"",
    "\"file_ids\"",
    "\"previous_response_id\"",
    "\"conversation\"",
    "\"session_id\"",
    "\"input_audio\"",
    // The Responses API: an earlier item by its id.
    "\"item_reference\"",
    // Stores of documents: LiteLLM takes them beside any chat, applications of Model Studio as `rag_options`, Z.ai in `retrieval`.
    "\"vector_store_ids\"",
    "\"rag_options\"",
    "\"knowledge_id\"",
    // Prompts that LiteLLM keeps, contexts of Volcengine Ark, caches of Gemini.
    "\"prompt_id\"",
    "\"context_id\"",
    "\"cached_content\"",
];
/// Tools of the host: their results are added to the prompt, and what the model writes to them is in no answer.
const HOST_TOOLS: [&str; 19] = [
    "\"enable_search\"",
    "\"enable_code_interpreter\"",
    "\"search_",
    "\"web_",
    "\"image_search\"",
    "\"file_search\"",
    "\"tool_search",
    "\"code_interpreter\"",
    "\"code_execution",
    // Where code of a host runs: its id in Anthropic's API, its kinds in OpenAI's. Skills run there.
    "\"container",
    "\"skills\"",
    "\"image_generation\"",
    "\"mcp\"",
    "\"mcp_servers\"",
    "\"plugins\"",
    "\"computer",
    // Kimi's `$web_search`, and OpenRouter's search by the model's name.
    "\"builtin_function\"",
    ":online\"",
    // Gemini's, through its compatible API.
    "\"google_search\"",
];

/// Whether a prompt may have more than the bytes of its body.
pub(super) fn names_outside(body: &[u8]) -> bool {
    names_any(body, &OUTSIDE) || has_stored_prompt(body) || names_host_tools(body)
}

/// Whether an answer may have cost more than what is sent of it.
pub(super) fn names_host_tools(body: &[u8]) -> bool {
    names_any(body, &HOST_TOOLS) || has_escaped_letter(body)
}

fn names_any(body: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| memchr::memmem::find(body, name.as_bytes()).is_some())
}

/// Whether it has a `prompt` that is an object: the Responses API names one by its id.
fn has_stored_prompt(body: &[u8]) -> bool {
    const PROMPT: &[u8] = b"\"prompt\"";
    memchr::memmem::find_iter(body, PROMPT).any(|at| {
        let value = body[at + PROMPT.len()..].trim_ascii_start();
        let value = value.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"{"))
    })
}

/// Whether a letter is written by its number, as no writer of JSON does: then any of the names may stand there.
fn has_escaped_letter(body: &[u8]) -> bool {
    memchr::memmem::find_iter(body, b"\\u00").any(|at| {
        let digits = body.get(at + 4..at + 6);
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_seen_where_it_is_named() {
        for (body, expected) in [
            (r#"{"messages":[{"content":"hello"}]}"#, false),
            (
                r#"{"messages":[{"content":"what is \"file_id\"?"}]}"#,
                false,
            ),
            (
                r#"{"messages":[{"content":"\u003cb\u003e, caf\u00e9 \"prompt\": {}"}]}"#,
                false,
            ),
            (
                r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#,
                false,
            ),
            (r#"{"prompt":"{}"}"#, false),
            (r#"{"image_url":{"url":"https://a.example/b.png"}}"#, true),
            (
                r#"{"image_url":{"url":"https:\/\/a.example\/b.png"}}"#,
                true,
            ),
            (r#"{"content":"fileid://file-1"}"#, true),
            (r#"{"image":"data:image/png;base64,AA"}"#, true),
            (r#"{"input":[{"type":"input_file","file_id":"f"}]}"#, true),
            (r#"{"previous_response_id":"r"}"#, true),
            (
                r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#,
                true,
            ),
            (r#"{"prompt":{"id":"p"}}"#, true),
            (r#"{"prompt" : {"id":"p"}}"#, true),
            (r#"{"prompt_id":"p"}"#, true),
            (r#"{"vector_store_ids":["v"]}"#, true),
            (r#"{"parameters":{"rag_options":{}}}"#, true),
            (r#"{"extra_body":{"google":{"cached_content":"c"}}}"#, true),
        ] {
            assert_eq!(names_outside(body.as_bytes()), expected, "{body}");
            assert!(!names_host_tools(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn tools_of_the_host_are_seen_where_they_are_named() {
        for body in [
            r#"{"tools":[{"type":"web_search"}]}"#,
            r#"{"tools":[{"type":"image_search"}]}"#,
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#,
            r#"{"tools":[{"type":"shell","environment":{"type":"container_auto"}}]}"#,
            r#"{"tools":[{"type":"builtin_function","function":{"name":"$web_search"}}]}"#,
            r#"{"parameters":{"enable_search":true}}"#,
            r#"{"enable_code_interpreter":true}"#,
            r#"{"enable_se\u0061rch":true}"#,
            r#"{"enable\u005fsearch":true}"#,
            r#"{"container":{"skills":[{"skill_id":"pdf"}]}}"#,
            r#"{"model":"qwen/qwen3:online"}"#,
        ] {
            assert!(names_host_tools(body.as_bytes()), "{body}");
            assert!(names_outside(body.as_bytes()), "{body}");
        }
    }
}
