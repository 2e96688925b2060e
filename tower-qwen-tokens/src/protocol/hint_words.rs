//! When to try again, as a message says it in words, in English or Chinese.

use std::time::{Duration, SystemTime};

use super::{
    date::{CHINA, date, until},
    time,
    words::{Place, Words},
};

/// The wait or the instant that a message states: `Please try again in 1m2s`, `The quota will reset at 08-12 14:52:00 UTC.`,
/// `请在 30 秒后重试`. The first that can be read.
pub(super) fn wait_in(words: &Words<'_>, now: impl Fn() -> SystemTime) -> Option<Duration> {
    let message = words.message;
    words.places().iter().find_map(|&place| match place {
        Place::After(start) => after(message, &message[start..], &now),
        Place::Before(end) => before(&message[..end]),
    })
}

/// What follows a phrase.
fn after(message: &str, text: &str, now: &impl Fn() -> SystemTime) -> Option<Duration> {
    let text = text.trim_start_matches([' ', ':', '=', '~', '(', '"', '\'']);
    let fillers = ["for ", "about ", "approximately ", "another "];
    let text = fillers
        .iter()
        .find_map(|filler| text.strip_prefix(filler))
        .unwrap_or(text);
    if !text
        .as_bytes()
        .first()
        .is_some_and(u8::is_ascii_alphanumeric)
    {
        return None;
    }
    if let Some((wait, _)) = time::compound(text) {
        return Some(wait);
    }
    // Hosts that write Chinese mean China's time, and so does the one that translates its words (Z.ai).
    let is_chinese =
        message.bytes().any(|byte| byte >= 0xE0) || message.contains("limit will reset at");
    let now = now();
    date(text, now, if is_chinese { CHINA } else { 0 })
        .map(|(date, _)| until(date, now))
        .or_else(|| bare_seconds(text))
}

/// What comes before `后` or `later`: numbers with units, of which the last is the one before it.
fn before(text: &str) -> Option<Duration> {
    let text = text.trim_end_matches(['后', '後']);
    let is_of_wait = |c: char| {
        c.is_ascii_digit() || matches!(c, '.' | ' ' | '秒' | '钟' | '分' | '小' | '时' | '天')
    };
    let start = text.trim_end_matches(is_of_wait).len();
    let (wait, taken) = time::compound(text[start..].trim_start())?;
    (taken == text[start..].trim_start().len()).then_some(wait)
}

/// A number of seconds without a unit, at the end of a sentence.
fn bare_seconds(text: &str) -> Option<Duration> {
    let number = text.split(|c: char| !c.is_ascii_digit()).next()?;
    let rest = &text[number.len()..];
    // A letter after the number would be a unit that is not known.
    (rest.is_empty() || rest.starts_with(['.', ',', ')', ';', '"', '}']))
        .then(|| time::decimal(number, time::NANOS))
        .flatten()
}
