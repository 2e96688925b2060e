//! Names that some readers take for others: those written in Go pass over the case of letters.

use super::field::RequestPart;

/// Members of the body, of native `input` and of `parameters` that decide what a call runs and costs.
const OF_BODY: [&str; 29] = [
    "model",
    "stream",
    "stream_options",
    "background",
    "messages",
    "prompt",
    "input",
    "parameters",
    "suffix",
    "system",
    "instructions",
    "history",
    "texts",
    "contents",
    "tools",
    "functions",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "incremental_output",
    "enable_thinking",
    "preserve_thinking",
    "thinking_budget",
    "reasoning_effort",
    "thinking",
    "reasoning",
    "chat_template_kwargs",
];
/// The same of `thinking`, `reasoning` and what a template is given.
const OF_THINKING: [&str; 6] = [
    "enable_thinking",
    "preserve_thinking",
    "budget_tokens",
    "thinking_budget",
    "effort",
    "type",
];

/// The name that this one is but for the case of its letters; `None` where it is that name itself, or none.
pub(super) fn known_but_for_case(part: RequestPart, name: &str) -> Option<&'static str> {
    let names: &[&str] = match part {
        RequestPart::Compatible
        | RequestPart::Native
        | RequestPart::NativeInput
        | RequestPart::Parameters => &OF_BODY,
        RequestPart::StreamOptions => &["include_usage"],
        RequestPart::Thinking => &OF_THINKING,
        _ => return None,
    };
    // Nearly every name is in lower case.
    let is_plain = |byte: u8| !byte.is_ascii_uppercase() && byte.is_ascii();
    if name.bytes().all(is_plain) {
        return None;
    }
    // Up to two bytes more for each letter, as below.
    let may_be = |known: &str| (known.len()..=3 * known.len()).contains(&name.len());
    let is = |known: &str| may_be(known) && name.chars().map(fold).eq(known.chars());
    names.iter().copied().find(|known| is(known))
}

/// The letter in lower case, as Unicode folds it: two letters beyond ASCII are others of it.
fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    }
}
