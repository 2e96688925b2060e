//! Lowers a request's ceilings in its body.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    Dialect,
    call::{Ceiling, JsonEdit, replaced},
};

/// A ceiling that a request sets.
struct FoundCeiling {
    kind: Ceiling,
    tokens: u64,
    at: Range<usize>,
}

/// A copy of a body whose ceiling, which is `ceiling` by all that the request says, is at most `room`.
///
/// `None` where the body says otherwise, or where nothing would be left for the answer.
pub(super) fn lowered(body: &[u8], dialect: Dialect, ceiling: u64, room: u64) -> Option<Bytes> {
    let found = find_ceilings(body, dialect)?;
    let largest = |kind| {
        let of_kind = found.iter().filter(|ceiling| ceiling.kind == kind);
        of_kind.map(|ceiling| ceiling.tokens).max()
    };
    if ceiling <= room {
        return None;
    }
    // The call's ceiling may hold a budget for reasoning beside `max_tokens`; then the answer gives
    // way, not the budget.
    let budget = match largest(Ceiling::Whole) {
        Some(whole) if whole >= ceiling => 0,
        _ => ceiling.checked_sub(largest(Ceiling::Answer)?)?,
    };
    let most = |kind| match kind {
        Ceiling::Answer => room.checked_sub(budget),
        Ceiling::Whole => Some(room),
    };
    let mut edits = Vec::new();
    for ceiling in &found {
        let most = most(ceiling.kind).filter(|&most| most > 0)?;
        if ceiling.tokens > most {
            edits.push((ceiling.at.clone(), most.to_string()));
        }
    }
    let edits: Vec<_> = edits
        .iter()
        .map(|(at, text)| (at.clone(), text.as_bytes()))
        .collect();
    Some(replaced(body, &edits))
}

/// The ceilings of a request: members of the body, natively of `parameters`.
fn find_ceilings(body: &[u8], dialect: Dialect) -> Option<Vec<FoundCeiling>> {
    let mut found = Vec::new();
    let request = JsonEdit::new(body);
    let mut visit = |object: JsonEdit<'_>| {
        object.members(|name, value| {
            if let Some(kind) = Ceiling::named(dialect, &name.decoded()?)
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
    if dialect.is_native() {
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

    fn lower(body: &str, dialect: Dialect, ceiling: u64, room: u64) -> Option<String> {
        let body = lowered(body.as_bytes(), dialect, ceiling, room)?;
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
                200,
                r#"{"max_tokens":60,"max_completion_tokens":60}"#,
            ),
            (
                r#"{"max_tokens":20,"max_completion_tokens":1e2}"#,
                100,
                r#"{"max_tokens":20,"max_completion_tokens":60}"#,
            ),
            // A budget of 50 beside an answer of 100: both fit into 60 when the answer has 10.
            (
                r#"{"max_tokens":100,"max_completion_tokens":120}"#,
                150,
                r#"{"max_tokens":10,"max_completion_tokens":60}"#,
            ),
            // Hosts pass over a name of another dialect.
            (
                r#"{"max_tokens":100,"max_output_tokens":100}"#,
                100,
                r#"{"max_tokens":60,"max_output_tokens":100}"#,
            ),
            (
                r#"{"max_tokens":500,"max_tokens":100}"#,
                500,
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
            assert_eq!(
                lower(body, Dialect::Chat, ceiling, 60).as_deref(),
                Some(expected)
            );
        }
    }

    #[test]
    fn natively_only_parameters_count() {
        let body = r#"{"max_tokens":7,"input":{"max_tokens":8},"parameters":{"x":{"max_tokens":9},"max_tokens":100}}"#;
        assert_eq!(
            lower(body, Dialect::NativeText, 100, 60).as_deref(),
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
            assert_eq!(lower(body, Dialect::Chat, ceiling, room), None, "{body}");
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
            let low = lower(&body, Dialect::Chat, tokens, room).expect("room is left");
            let low: Value = serde_json::from_str(&low).expect("JSON");
            request["max_tokens"] = room.into();
            proptest::prop_assert_eq!(low, request);
        }
    }
}
