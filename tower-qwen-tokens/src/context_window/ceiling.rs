//! Lowers a request's ceilings in its body.

use std::ops::Range;

use bytes::Bytes;

use crate::call::{Ceiling, JsonEdit, replaced};

/// A ceiling that a request sets.
struct FoundCeiling {
    kind: Ceiling,
    tokens: u64,
    at: Range<usize>,
}

/// A copy of a body whose ceiling, which is `ceiling` by all that the request says, is at most `room`.
///
/// `None` where the body says otherwise, or where nothing would be left for the answer.
pub(super) fn lowered(body: &[u8], is_native: bool, ceiling: u64, room: u64) -> Option<Bytes> {
    let found = find_ceilings(body, is_native)?;
    // Of two members of one name a parser takes the last.
    let last = |kind| found.iter().rev().find(|ceiling| ceiling.kind == kind);
    let excess = ceiling.checked_sub(room)?;
    let deciding = last(Ceiling::Whole).or_else(|| last(Ceiling::Answer))?;
    // The call's ceiling may hold a budget for reasoning beside `max_tokens`; then the answer gives
    // way, not the budget.
    let most = deciding
        .tokens
        .checked_sub(excess)
        .filter(|&most| most > 0)?;
    let text = most.to_string();
    let too_high = found.into_iter().filter(|ceiling| ceiling.tokens > most);
    let edits: Vec<_> = too_high
        .map(|ceiling| (ceiling.at, text.as_bytes()))
        .collect();
    Some(replaced(body, &edits))
}

/// The ceilings of a request: members of the body, natively of `parameters`.
fn find_ceilings(body: &[u8], is_native: bool) -> Option<Vec<FoundCeiling>> {
    let mut found = Vec::new();
    let request = JsonEdit::new(body);
    let mut visit = |object: JsonEdit<'_>| {
        object.members(|name, value| {
            if let Some(kind) = Ceiling::named(&name.decoded()?)
                && let Some(tokens) = tokens(&body[value.clone()])
            {
                found.push(FoundCeiling {
                    kind,
                    tokens,
                    at: value,
                });
            }
            Some(())
        })
    };
    if is_native {
        request.members(|name, value| {
            if name.decoded()? == "parameters" {
                visit(request.within(&value))?;
            }
            Some(())
        })?;
    } else {
        visit(request)?;
    }
    Some(found)
}

/// A ceiling as the call reader reads it: whole, or cut to be.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn tokens(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let whole = text.parse().ok();
    whole.or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number >= 0.0).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn lower(body: &str, is_native: bool, ceiling: u64, room: u64) -> Option<String> {
        let body = lowered(body.as_bytes(), is_native, ceiling, room)?;
        Some(String::from_utf8(body.to_vec()).expect("text"))
    }

    #[test]
    fn only_the_ceiling_changes() {
        for (body, ceiling, expected) in [
            (r#"{"max_tokens":100}"#, 100, r#"{"max_tokens":60}"#),
            (
                " { \"a\" : [ 1 ] , \"max_tokens\" :\t100 , \"é\" : \"max_tokens\" } ",
                100,
                " { \"a\" : [ 1 ] , \"max_tokens\" :\t60 , \"é\" : \"max_tokens\" } ",
            ),
            // A budget for reasoning of 50 beside it: the answer gives way.
            (r#"{"max_tokens":100}"#, 150, r#"{"max_tokens":10}"#),
            (
                r#"{"max_tokens":200,"max_completion_tokens":100}"#,
                100,
                r#"{"max_tokens":60,"max_completion_tokens":60}"#,
            ),
            (
                r#"{"max_tokens":20,"max_output_tokens":1e2}"#,
                100,
                r#"{"max_tokens":20,"max_output_tokens":60}"#,
            ),
            (
                r#"{"max_tokens":500,"max_tokens":100}"#,
                100,
                r#"{"max_tokens":60,"max_tokens":60}"#,
            ),
            (
                r#"{"max_tokens":null,"max_completion_tokens":100}"#,
                100,
                r#"{"max_tokens":null,"max_completion_tokens":60}"#,
            ),
            (
                r#"{"max\u005ftokens":100}"#,
                100,
                r#"{"max\u005ftokens":60}"#,
            ),
        ] {
            assert_eq!(lower(body, false, ceiling, 60).as_deref(), Some(expected));
        }
    }

    #[test]
    fn natively_only_parameters_count() {
        let body = r#"{"max_tokens":7,"input":{"max_tokens":8},"parameters":{"x":{"max_tokens":9},"max_tokens":100}}"#;
        assert_eq!(
            lower(body, true, 100, 60).as_deref(),
            Some(&*body.replace("100", "60"))
        );
    }

    #[test]
    fn where_nothing_is_left_nothing_is_written() {
        for (body, ceiling, room) in [
            (r#"{"max_tokens":100}"#, 100, 0),
            (r#"{"max_tokens":100}"#, 160, 60),
            (r#"{"max_tokens":100}"#, 50, 60),
            (r#"{"max_tokens":-100}"#, 100, 60),
            (r#"{"max_tokens":"100"}"#, 100, 60),
            (r#"{"a":{"max_tokens":100}}"#, 100, 60),
            ("{}", 100, 60),
            ("[]", 100, 60),
            ("", 100, 60),
            (r#"{"max_tokens":100"#, 100, 60),
        ] {
            assert_eq!(lower(body, false, ceiling, room), None, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn all_but_the_number_stays(
            before in "[\\PC\"\\\\]{0,12}",
            tokens in 2_u64..u64::MAX,
            cut in 1_u64..u64::MAX,
            pretty in proptest::bool::ANY,
        ) {
            let room = tokens - cut.min(tokens - 1);
            let mut request = serde_json::json!({ "a": before, "max_tokens": tokens, "z": [before, {"max_tokens": 1}] });
            let body = if pretty { format!("{request:#}") } else { request.to_string() };
            let low = lower(&body, false, tokens, room).expect("room is left");
            let low: Value = serde_json::from_str(&low).expect("JSON");
            request["max_tokens"] = room.into();
            proptest::prop_assert_eq!(low, request);
        }
    }
}
