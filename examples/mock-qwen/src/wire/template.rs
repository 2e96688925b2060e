//! Recorded bodies with gaps for what differs from call to call.

use std::time::{Duration, SystemTime};

use crate::date::Date;
use crate::go_duration::go_duration;

/// What fills the gaps.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) id: &'a str,
    pub(crate) model: &'a str,
    pub(crate) message: &'a str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) asked: u64,
    /// How long until the call would fit.
    pub(crate) wait: Duration,
    /// The wall time now.
    pub(crate) wall: SystemTime,
}

/// A template with its gaps filled. Texts are written as inside a JSON string.
pub(crate) fn fill(template: &str, facts: &Facts<'_>) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let gap = rest.find('}').map(|end| &rest[1..end]);
        match gap.and_then(|name| value(name, facts).map(|value| (name, value))) {
            Some((name, value)) => {
                filled.push_str(&value);
                rest = &rest[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

fn value(name: &str, facts: &Facts<'_>) -> Option<String> {
    let reset = facts.wall + facts.wait;
    Some(match name {
        "id" => facts.id.to_owned(),
        "model" => escaped(facts.model),
        "message" => escaped(facts.message),
        "created" => facts.created.to_string(),
        "limit" => facts.limit.to_string(),
        "used" => facts.used.to_string(),
        "asked" => facts.asked.to_string(),
        "left" => facts.limit.saturating_sub(facts.used).to_string(),
        // As Groq's `11.455s`, and Kimi's `1 seconds`, which never say 0.
        "wait" => go_duration(
            facts.wait.max(Duration::from_millis(1)),
            Duration::from_millis(1),
        ),
        "seconds" => facts
            .wait
            .as_nanos()
            .div_ceil(1_000_000_000)
            .max(1)
            .to_string(),
        "reset_short_utc" => Date::of(reset, 0).short(),
        "reset_utc_8" => Date::of(reset, 8).full(),
        "epoch_ms" => {
            let since = reset.duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default().as_millis().to_string()
        }
        // Whatever the wait, as LiteLLM states it.
        "in_a_minute" => Date::of(facts.wall + Duration::from_secs(60), 0).full(),
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_json_is_left_alone() {
        let facts = Facts {
            id: "i",
            model: "a \"b\"",
            message: "m",
            created: 1,
            limit: 10,
            used: 12,
            asked: 3,
            wait: Duration::from_millis(11_455),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_953_600),
        };
        let filled = fill(
            r#"{"error":{"x":{},"m":"{model}","n":{limit}},"y":"{left} {wait}"}"#,
            &facts,
        );
        assert_eq!(
            filled,
            r#"{"error":{"x":{},"m":"a \"b\"","n":10},"y":"0 11.455s"}"#
        );
        let times = fill(
            "{seconds} {reset_short_utc} {reset_utc_8} {in_a_minute} {",
            &facts,
        );
        assert_eq!(
            times,
            "12 11-29 12:00:12 2026-11-29 20:00:12 2026-11-29 12:01:00 {"
        );
    }
}
