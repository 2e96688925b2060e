//! The templates of Qwen2.5 and Qwen3, as their models come with them (November 2026).

use super::{
    chat::Chat,
    family::Family,
    message::{Message, Role, ToolCall},
    profile::Profile,
};

// Word for word: a byte more or less is another count.
const TOOLS_BEFORE: &str = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n\
    You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
const TOOLS_AFTER: &str = "\n</tools>\n\n\
    For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n\
    <tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
const END: &str = "<|im_end|>\n";

/// Passes the prompt to `emit`, one message after the other. Each begins with a special token, so
/// that their counts add up.
pub(super) fn render(chat: &Chat, family: Family, profile: &Profile, mut emit: impl FnMut(&str)) {
    let mut out = String::new();
    render_system(chat, profile.system_of(family), &mut out);
    flush(&mut out, &mut emit);
    let last_query = last_query(&chat.messages);
    for (index, message) in chat.messages.iter().enumerate() {
        match message.role {
            // `render_system` has written the first one.
            Role::System if index == 0 => {}
            Role::System => plain("system", &message.content, &mut out),
            Role::User => plain("user", &message.content, &mut out),
            Role::Assistant => match family {
                Family::Qwen2_5 => assistant_2_5(message, &mut out),
                Family::Qwen3 => {
                    let is_last = index + 1 == chat.messages.len();
                    assistant_3(message, index > last_query, is_last, &mut out);
                }
            },
            Role::Tool => {
                let is_tool =
                    |message: Option<&Message>| message.is_some_and(|m| m.role == Role::Tool);
                let before = index.checked_sub(1).and_then(|i| chat.messages.get(i));
                let opens = !is_tool(before);
                let closes = !is_tool(chat.messages.get(index + 1));
                tool_result(&message.content, opens, closes, &mut out);
                // Without its own token the end of one result may join the start of the next.
                if !closes {
                    continue;
                }
            }
            Role::Unknown => {}
        }
        flush(&mut out, &mut emit);
    }
    if !chat.is_closed {
        open("assistant", &mut out);
        if chat.is_without_thinking && family == Family::Qwen3 {
            out.push_str("<think>\n\n</think>\n\n");
        }
        flush(&mut out, &mut emit);
    }
}

fn flush(out: &mut String, emit: &mut impl FnMut(&str)) {
    if !out.is_empty() {
        emit(out);
        out.clear();
    }
}

fn open(role: &str, out: &mut String) {
    out.extend(["<|im_start|>", role, "\n"]);
}

fn plain(role: &str, content: &str, out: &mut String) {
    open(role, out);
    out.extend([content, END]);
}

fn render_system(chat: &Chat, default: Option<&str>, out: &mut String) {
    let own = chat.messages.first().filter(|m| m.role == Role::System);
    let text = own.map(|message| message.content.as_str()).or(default);
    if chat.tools.is_empty() {
        if let Some(text) = text {
            plain("system", text, out);
        }
        return;
    }
    open("system", out);
    if let Some(text) = text {
        out.extend([text, "\n\n"]);
    }
    out.push_str(TOOLS_BEFORE);
    for tool in &chat.tools {
        out.extend(["\n", tool]);
    }
    out.extend([TOOLS_AFTER, END]);
}

/// The index of the user's last question; a tool's result in the user's name is none.
fn last_query(messages: &[Message]) -> usize {
    let is_query = |message: &Message| {
        let content = &message.content;
        message.role == Role::User
            && !(content.starts_with("<tool_response>") && content.ends_with("</tool_response>"))
    };
    messages
        .iter()
        .rposition(is_query)
        .unwrap_or(messages.len().saturating_sub(1))
}

fn assistant_2_5(message: &Message, out: &mut String) {
    if message.tool_calls.is_empty() {
        plain("assistant", &message.content, out);
        return;
    }
    out.push_str("<|im_start|>assistant");
    if !message.content.is_empty() {
        out.extend(["\n", &message.content]);
    }
    for call in &message.tool_calls {
        out.push('\n');
        tool_call(call, out);
    }
    out.push_str(END);
}

fn assistant_3(message: &Message, is_after_query: bool, is_last: bool, out: &mut String) {
    let (reasoning, content) = thinking(message);
    open("assistant", out);
    if is_after_query && (is_last || !reasoning.is_empty()) {
        let (reasoning, content) = (
            reasoning.trim_matches('\n'),
            content.trim_start_matches('\n'),
        );
        out.extend(["<think>\n", reasoning, "\n</think>\n\n", content]);
    } else {
        out.push_str(content);
    }
    for (index, call) in message.tool_calls.iter().enumerate() {
        if index > 0 || !content.is_empty() {
            out.push('\n');
        }
        tool_call(call, out);
    }
    out.push_str(END);
}

/// The thinking of a message and its answer: apart, or within the content.
fn thinking(message: &Message) -> (&str, &str) {
    let content = message.content.as_str();
    if let Some(reasoning) = &message.reasoning {
        return (reasoning, content);
    }
    let Some((before, _)) = content.split_once("</think>") else {
        return ("", content);
    };
    let answer = content.rsplit("</think>").next().unwrap_or_default();
    let thought = before.trim_end_matches('\n');
    let thought = thought.rsplit("<think>").next().unwrap_or_default();
    (
        thought.trim_start_matches('\n'),
        answer.trim_start_matches('\n'),
    )
}

fn tool_call(call: &ToolCall, out: &mut String) {
    let ToolCall { name, arguments } = call;
    let call =
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>");
    out.push_str(&call);
}

fn tool_result(content: &str, opens: bool, closes: bool, out: &mut String) {
    if opens {
        out.push_str("<|im_start|>user");
    }
    out.extend(["\n<tool_response>\n", content, "\n</tool_response>"]);
    if closes {
        out.push_str(END);
    }
}

#[cfg(test)]
mod tests {
    use super::{Chat, Family, Message, Profile, render};

    fn prompt(chat: &Chat, family: Family, profile: &Profile) -> String {
        let mut prompt = String::new();
        render(chat, family, profile, |message| {
            assert!(message.starts_with("<|im_start|>"), "{message}");
            prompt.push_str(message);
        });
        prompt
    }

    #[test]
    fn a_system_prompt_is_added_by_the_open_template_of_qwen2_5_only() {
        let chat = Chat::new([Message::user("hi")]);
        let bare = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
        let open = Profile::open_template();
        for (family, profile) in [
            (Family::Qwen2_5, Profile::dash_scope()),
            (Family::Qwen3, Profile::dash_scope()),
            (Family::Qwen3, open.clone()),
        ] {
            assert_eq!(prompt(&chat, family, &profile), bare);
        }
        assert_eq!(
            prompt(&chat, Family::Qwen2_5, &open),
            format!(
                "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n{bare}"
            )
        );
        assert_eq!(
            prompt(&chat, Family::Qwen3, &open.default_system("Be brief.")),
            format!("<|im_start|>system\nBe brief.<|im_end|>\n{bare}")
        );
    }

    #[test]
    fn results_of_tools_share_a_message() {
        let chat = Chat::new([Message::tool("1"), Message::tool("2"), Message::user("x")]).closed();
        assert_eq!(
            prompt(&chat, Family::Qwen3, &Profile::open_template()),
            "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n\
             <|im_start|>user\nx<|im_end|>\n"
        );
    }

    #[test]
    fn earlier_thinking_is_left_out_by_qwen3() {
        let earlier = Message::assistant("<think>\nwhy\n</think>\n\nyes");
        let chat = Chat::new([
            Message::user("a"),
            earlier.clone(),
            Message::user("b"),
            earlier,
        ])
        .closed();
        let prompt_3 = prompt(&chat, Family::Qwen3, &Profile::dash_scope());
        assert_eq!(prompt_3.matches("why").count(), 1);
        assert!(prompt_3.contains("<|im_start|>assistant\nyes<|im_end|>"));
        assert!(prompt_3.ends_with("<think>\nwhy\n</think>\n\nyes<|im_end|>\n"));
        let prompt_2_5 = prompt(&chat, Family::Qwen2_5, &Profile::dash_scope());
        assert_eq!(prompt_2_5.matches("why").count(), 2);
    }

    #[test]
    fn nothing_is_nothing_but_the_opening() {
        let chat = Chat::new([]);
        let profile = Profile::dash_scope();
        assert_eq!(
            prompt(&chat, Family::Qwen3, &profile),
            "<|im_start|>assistant\n"
        );
        assert_eq!(prompt(&chat.closed(), Family::Qwen3, &profile), "");
    }
}
