//! One line of the file.

use std::fmt;

use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use super::Reason;

/// One call, as its line tells it.
#[derive(Clone)]
pub struct InputCall {
    /// The id that the caller gave it.
    pub custom_id: String,
    /// Path of the call, such as `/v1/chat/completions`.
    pub url: String,
    /// The request's body, a JSON object, byte for byte.
    pub body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    custom_id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl InputCall {
    /// Reads a line. A missing `method` counts as `POST`.
    ///
    /// # Errors
    ///
    /// The [`Reason`] for which it is no call.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        if line.first() != Some(&b'{') {
            return Err(
                match serde_json::from_slice::<serde::de::IgnoredAny>(line) {
                    Ok(_) => Reason::NotAnObject,
                    Err(error) => Reason::NotJson(error.column()),
                },
            );
        }
        let fields: Fields<'_> =
            serde_json::from_slice(line).map_err(|error| match error.classify() {
                Category::Data => Reason::NotAnObject,
                _ => Reason::NotJson(error.column()),
            })?;
        let custom_id = string("custom_id", fields.custom_id)?;
        if custom_id.is_empty() {
            return Err(Reason::Missing("custom_id"));
        }
        if fields.method.is_some() && string("method", fields.method)? != "POST" {
            return Err(Reason::Method);
        }
        let url = string("url", fields.url)?;
        let body = fields.body.ok_or(Reason::Missing("body"))?;
        if !body.get().starts_with('{') {
            return Err(Reason::NotA("body", "an object"));
        }
        Ok(Self {
            custom_id,
            url,
            body: body.to_owned(),
        })
    }
}

fn string(field: &'static str, raw: Option<&RawValue>) -> Result<String, Reason> {
    let raw = raw.ok_or(Reason::Missing(field))?;
    serde_json::from_str(raw.get()).map_err(|_| Reason::NotA(field, "a string"))
}

impl fmt::Debug for InputCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputCall")
            .field("custom_id", &self.custom_id)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_its_body_kept_byte_for_byte() -> Result<(), Reason> {
        let call = InputCall::parse(
            br#"{"custom_id":"\u4e00","method":"POST","url":"/v1/x","body":{"b": 1e400, "a":[0.10]},"more":1}"#,
        )?;
        assert_eq!(call.custom_id, "一");
        assert_eq!(call.url, "/v1/x");
        assert_eq!(call.body.get(), r#"{"b": 1e400, "a":[0.10]}"#);
        assert!(!format!("{call:?}").contains("1e400"));
        InputCall::parse(br#"{"custom_id":"a","url":"/v1/x","body":{}}"#)?;
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, reason) in [
            ("x", Reason::NotJson(1)),
            (r#"{"custom_id":"#, Reason::NotJson(13)),
            (r#"{"custom_id":"a"} x"#, Reason::NotJson(19)),
            ("[1]", Reason::NotAnObject),
            ("null", Reason::NotAnObject),
            ("{}", Reason::Missing("custom_id")),
            (r#"{"custom_id":null}"#, Reason::Missing("custom_id")),
            (r#"{"custom_id":""}"#, Reason::Missing("custom_id")),
            (r#"{"custom_id":7}"#, Reason::NotA("custom_id", "a string")),
            (r#"{"custom_id":"a","method":"GET"}"#, Reason::Method),
            (
                r#"{"custom_id":"a","method":1}"#,
                Reason::NotA("method", "a string"),
            ),
            (r#"{"custom_id":"a"}"#, Reason::Missing("url")),
            (
                r#"{"custom_id":"a","url":[]}"#,
                Reason::NotA("url", "a string"),
            ),
            (r#"{"custom_id":"a","url":"/x"}"#, Reason::Missing("body")),
            (
                r#"{"custom_id":"a","url":"/x","body":"{}"}"#,
                Reason::NotA("body", "an object"),
            ),
        ] {
            assert_eq!(
                InputCall::parse(line.as_bytes()).err(),
                Some(reason),
                "{line}"
            );
        }
        assert!(matches!(
            InputCall::parse(b"{\"custom_id\":\"\xff\"}").err(),
            Some(Reason::NotJson(_) | Reason::NotA(..))
        ));
    }
}
