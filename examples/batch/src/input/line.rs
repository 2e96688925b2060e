//! One line of the file.

use std::fmt;

use serde_json::value::RawValue;

use super::{Reason, object::Object};
use crate::carried::Carried;

/// One call, as its line tells it.
#[derive(Clone)]
pub struct InputCall {
    /// The id that the caller gave it.
    pub custom_id: String,
    /// Path of the call, such as `/v1/chat/completions`.
    pub url: String,
    /// The request's body, a JSON object, byte for byte.
    pub body: Box<RawValue>,
    /// What else stands on the line.
    pub carried: Carried,
}

impl InputCall {
    /// Reads a line. A missing `method` counts as `POST`.
    ///
    /// # Errors
    ///
    /// The [`Reason`] for which it is no call.
    pub fn parse(line: &[u8]) -> Result<Self, Reason> {
        let (mut custom_id, mut method, mut url, mut body) = (None, None, None, None);
        let mut carried = Carried::default();
        for (name, value) in Object::parse(line)?.0 {
            match &*name {
                // As good as missing.
                "custom_id" | "method" | "url" | "body" if value.get() == "null" => {}
                "custom_id" => custom_id = Some(value),
                "method" => method = Some(value),
                "url" => url = Some(value),
                "body" => body = Some(value),
                name => carried.push(name, value.to_owned()),
            }
        }
        let custom_id = string("custom_id", custom_id)?;
        if custom_id.is_empty() {
            return Err(Reason::Missing("custom_id"));
        }
        if method.is_some() && string("method", method)? != "POST" {
            return Err(Reason::Method);
        }
        let url = string("url", url)?;
        let body = body.ok_or(Reason::Missing("body"))?;
        if !body.get().starts_with('{') {
            return Err(Reason::NotA("body", "an object"));
        }
        Ok(Self {
            custom_id,
            url,
            body: body.to_owned(),
            carried,
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
        assert_eq!(
            serde_json::to_string(&call.carried).ok().as_deref(),
            Some(r#"{"more":1}"#)
        );
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
