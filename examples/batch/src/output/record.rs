//! One line of the output.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{carried::Carried, input::BadLine};

/// What the ids of lines begin with.
pub(super) const MADE_UP: &str = "batch_req_";

/// What became of one call.
#[derive(Debug, Serialize)]
pub struct Record {
    /// An id of this line, made up here.
    pub id: String,
    /// The id of the call.
    pub custom_id: String,
    /// Whom the call went to: in a later run of another provider the line does not count.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// What the provider answered, if it did.
    pub response: Option<AnswerPart>,
    /// Why the call failed, if it did.
    pub error: Option<ErrorPart>,
    /// What the call brought along.
    #[serde(flatten)]
    pub carried: Carried,
}

/// An answer of the provider.
#[derive(Debug, Serialize)]
pub struct AnswerPart {
    /// Its status.
    pub status_code: u16,
    /// The provider's id of the request, if it told one.
    pub request_id: Option<String>,
    /// Its body; what is not JSON stands here as a string.
    pub body: Box<RawValue>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorPart {
    /// The provider's code, or one of ours: `deadline`, `rejected`, `unreadable`, `transport`, `body`, `stream_cut`, `cut`,
    /// `not_json`, `bad_request`, `bad_line`, `http_<status>`.
    pub code: String,
    /// What it means.
    pub message: String,
}

/// A line of the input that is no call. It has no id of a call.
#[derive(Debug, Serialize)]
pub(super) struct BadRecord {
    id: String,
    custom_id: Option<String>,
    response: Option<AnswerPart>,
    error: ErrorPart,
}

impl BadRecord {
    pub(super) fn new(line: &BadLine) -> Self {
        Self {
            id: line_id(),
            custom_id: None,
            response: None,
            error: ErrorPart::new("bad_line", line.to_string()),
        }
    }
}

impl Record {
    /// A record with an id of its own.
    #[must_use]
    pub fn new(custom_id: String, response: Option<AnswerPart>, error: Option<ErrorPart>) -> Self {
        Self {
            id: line_id(),
            custom_id,
            provider: String::new(),
            response,
            error,
            carried: Carried::default(),
        }
    }

    /// The record of a call that went to this provider.
    #[must_use]
    pub fn by(mut self, provider: &str) -> Self {
        provider.clone_into(&mut self.provider);
        self
    }

    /// With what the call brought along.
    #[must_use]
    pub fn carrying(mut self, carried: Carried) -> Self {
        self.carried = carried;
        self
    }

    /// Whether the call was answered: a status of success, and no error.
    #[must_use]
    pub fn is_success(&self) -> bool {
        is_success(
            self.response.as_ref().map(|answer| answer.status_code),
            self.error.is_some(),
        )
    }
}

impl ErrorPart {
    /// An error of this code.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

fn line_id() -> String {
    format!("{MADE_UP}{:032x}", fastrand::u128(..))
}

pub(super) fn is_success(status: Option<u16>, has_error: bool) -> bool {
    !has_error && status.is_some_and(|status| (200..300).contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16) -> Result<AnswerPart, serde_json::Error> {
        Ok(AnswerPart {
            status_code,
            request_id: None,
            body: RawValue::from_string("{}".to_owned())?,
        })
    }

    #[test]
    fn success_needs_an_answer_of_success_and_no_error() -> Result<(), serde_json::Error> {
        let error = ErrorPart::new("c", "m");
        for (response, error, expected) in [
            (Some(answer(200)?), None, true),
            (Some(answer(200)?), Some(error.clone()), false),
            (Some(answer(429)?), None, false),
            (None, Some(error), false),
            (None, None, false),
        ] {
            assert_eq!(
                Record::new("a".into(), response, error).is_success(),
                expected
            );
        }
        Ok(())
    }

    #[test]
    fn the_fields_stand_as_the_format_wants_them() -> Result<(), serde_json::Error> {
        let mut record = Record::new("a".into(), Some(answer(200)?), None);
        assert_eq!(record.id.len(), "batch_req_".len() + 32);
        record.id = "i".into();
        assert_eq!(
            serde_json::to_string(&record)?,
            r#"{"id":"i","custom_id":"a","response":{"status_code":200,"request_id":null,"body":{}},"error":null}"#
        );
        let marked = serde_json::to_string(&record.by("mock-qwen"))?;
        assert!(
            marked.starts_with(r#"{"id":"i","custom_id":"a","provider":"mock-qwen","response""#),
            "{marked}"
        );
        let mut carried = Carried::default();
        carried.push(
            "metadata",
            RawValue::from_string(r#"{"n":1.50}"#.to_owned())?,
        );
        assert_eq!(
            serde_json::to_string(&Record::new("a".into(), None, None).carrying(carried))?
                .split_once(r#""custom_id""#)
                .map(|(_, rest)| rest),
            Some(r#":"a","response":null,"error":null,"metadata":{"n":1.50}}"#)
        );
        Ok(())
    }
}
