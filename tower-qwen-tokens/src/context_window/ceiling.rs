//! Lowering a request's ceilings by writing into its bytes, which stay as they are otherwise.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::call::Ceiling;

/// A ceiling that a request sets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    kind: Ceiling,
    tokens: u64,
    at: Range<usize>,
}

/// Finds the ceilings in an object.
struct Ceilings<'a> {
    body: &'a [u8],
    /// Where they stand: natively in `parameters`.
    within: Option<&'static str>,
    found: &'a mut Vec<Found>,
}

/// A copy of a body whose ceiling, which is `ceiling` by all that the request says, is at most `room`.
///
/// `None` where the body says otherwise, or the answer would have nothing left.
pub(super) fn lowered(body: &[u8], is_native: bool, ceiling: u64, room: u64) -> Option<Bytes> {
    let mut found = Vec::new();
    let ceilings = Ceilings {
        body,
        within: is_native.then_some("parameters"),
        found: &mut found,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    ceilings.deserialize(&mut deserializer).ok()?;

    let last = |kind| found.iter().rev().find(|ceiling| ceiling.kind == kind);
    let excess = ceiling.checked_sub(room)?;
    let most = match (last(Ceiling::Whole), last(Ceiling::Answer)) {
        (Some(whole), _) => whole.tokens.checked_sub(excess)?,
        (None, Some(answer)) => answer.tokens.checked_sub(excess)?,
        (None, None) => return None,
    };
    (most > 0).then(|| written(body, &found, most))
}

fn written(body: &[u8], ceilings: &[Found], most: u64) -> Bytes {
    let most_text = most.to_string();
    let mut copy = Vec::with_capacity(body.len());
    let mut from = 0;
    for ceiling in ceilings.iter().filter(|ceiling| ceiling.tokens > most) {
        copy.extend_from_slice(&body[from..ceiling.at.start]);
        copy.extend_from_slice(most_text.as_bytes());
        from = ceiling.at.end;
    }
    copy.extend_from_slice(&body[from..]);
    copy.into()
}

/// A ceiling as the call reader reads it: whole, or cut to be.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn tokens(text: &str) -> Option<u64> {
    let whole = text.parse().ok();
    whole.or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number >= 0.0).then_some(number as u64)
    })
}

impl<'de> DeserializeSeed<'de> for Ceilings<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Ceilings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object of a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if let Some(within) = self.within {
                if name == within {
                    map.next_value_seed(Ceilings {
                        body: self.body,
                        within: None,
                        found: &mut *self.found,
                    })?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
                continue;
            }
            let Some(kind) = Ceiling::named(&name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?.get();
            if let Some(tokens) = tokens(value) {
                let start =
                    offset(self.body, value).ok_or_else(|| A::Error::custom("elsewhere"))?;
                let at = start..start + value.len();
                self.found.push(Found { kind, tokens, at });
            }
        }
        Ok(())
    }
}

/// Where in a body a part of it begins.
fn offset(body: &[u8], part: &str) -> Option<usize> {
    let start = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let same = body.get(start..start.checked_add(part.len())?)? == part.as_bytes();
    same.then_some(start)
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
