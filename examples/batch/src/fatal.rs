//! Failures that do not lie in their call: others will fail in the same way.

use std::{error::Error, fmt, io, time::SystemTime};

use http::StatusCode;
use hyper_util::client::legacy;
use tower_qwen_tokens::{Cause, Verdict};

use crate::failures::short;

/// A failure that other calls will meet too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// What is wrong.
    pub reason: FatalReason,
    /// What the provider or the connection said.
    pub said: String,
    /// The model of the call.
    pub model: String,
    /// The path of the call.
    pub path: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FatalReason {
    /// The key is not valid, or there is none.
    Key,
    /// The account is in arrears, or not opened.
    Account,
    /// A window of the account's plan is used up.
    Plan {
        /// Until then, where the provider says so.
        until: Option<SystemTime>,
    },
    /// Nothing can be reached at the address.
    Address,
    /// What answers at the address is not a provider of models.
    NoProvider,
    /// The provider does not have the model.
    Model,
    /// The provider does not have the path.
    Path,
    /// The key may not use the model.
    Permission,
    /// The free calls of the model are used up.
    FreeTier,
}

impl FatalReason {
    /// Whether all calls are concerned, and not only those of the same model and path.
    #[must_use]
    pub fn is_of_all(self) -> bool {
        matches!(
            self,
            Self::Key | Self::Account | Self::Plan { .. } | Self::Address | Self::NoProvider
        )
    }

    /// Whether it may pass by itself within a minute: an outage of the network, or a gateway that has lost a model for a
    /// moment and says that it never had it.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Address | Self::NoProvider | Self::Model | Self::Path
        )
    }

    /// A stable name, for the summary.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Account => "account",
            Self::Plan { .. } => "plan_window",
            Self::Address => "address",
            Self::NoProvider => "no_provider",
            Self::Model => "model",
            Self::Path => "path",
            Self::Permission => "permission",
            Self::FreeTier => "free_tier",
        }
    }
}

impl Fatal {
    fn new(reason: FatalReason, said: impl Into<String>) -> Self {
        Self {
            reason,
            said: said.into(),
            model: String::new(),
            path: String::new(),
        }
    }

    /// The same, of a call of this model to this path.
    #[must_use]
    pub fn of(mut self, model: &str, path: &str) -> Self {
        model.clone_into(&mut self.model);
        path.clone_into(&mut self.path);
        self
    }

    /// What an error answer means for other calls; `None` where it concerns its own call alone, or may be another one in a
    /// minute.
    #[must_use]
    pub fn of_verdict(verdict: &Verdict, status: StatusCode) -> Option<Self> {
        if verdict.is_transient() {
            return None;
        }
        let reason = match verdict.cause() {
            Cause::Unauthorized => FatalReason::Key,
            Cause::Account if verdict.plan_window().is_some() => FatalReason::Plan {
                until: verdict.until(),
            },
            Cause::Account => FatalReason::Account,
            Cause::FreeTier => FatalReason::FreeTier,
            Cause::Forbidden => FatalReason::Permission,
            Cause::NotFound if names_a_model(verdict) => FatalReason::Model,
            Cause::NotFound => FatalReason::Path,
            // A server that has nothing to call there.
            Cause::Other if status == StatusCode::METHOD_NOT_ALLOWED => FatalReason::Path,
            _ => return None,
        };
        Some(Self::new(reason, said(verdict, status)))
    }

    /// What a failure of the client means; `None` where it reached the provider, or never left.
    #[must_use]
    pub fn of_error(error: &(dyn Error + 'static)) -> Option<Self> {
        is_connect(error).then(|| Self::new(FatalReason::Address, root_cause(error)))
    }

    /// None of several accounts is for the model.
    #[must_use]
    pub fn no_account() -> Self {
        Self::new(FatalReason::Model, "no account names it in its `models`")
    }

    /// An answer that is not JSON.
    #[must_use]
    pub fn not_json(status: u16) -> Self {
        let said = format!("status {status}, and no JSON");
        Self::new(FatalReason::NoProvider, said)
    }

    /// The plan is used up, as an earlier call has learned.
    #[must_use]
    pub fn plan(until: Option<SystemTime>, said: String) -> Self {
        Self::new(FatalReason::Plan { until }, said)
    }
}

/// Whether an answer of "not found" is about a model: its code or its words name one.
fn names_a_model(verdict: &Verdict) -> bool {
    let texts = [verdict.code(), verdict.message()];
    let mut texts = texts.into_iter().flatten().map(str::to_ascii_lowercase);
    texts.any(|text| text.contains("model"))
}

/// `401 invalid_api_key: Incorrect API key provided.`
fn said(verdict: &Verdict, status: StatusCode) -> String {
    let mut text = status.as_u16().to_string();
    if let Some(code) = verdict.code().filter(|code| *code != text) {
        text = format!("{text} {code}");
    }
    match verdict.message().map(str::trim) {
        None | Some("") => text,
        Some(message) => format!("{text}: {}", short(message)),
    }
}

/// Whether no connection came about.
#[must_use]
pub fn is_connect(error: &(dyn Error + 'static)) -> bool {
    links(error).any(|link| {
        link.downcast_ref::<legacy::Error>()
            .is_some_and(legacy::Error::is_connect)
            || io_kind(link).is_some_and(|kind| {
                matches!(
                    kind,
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NetworkUnreachable
                )
            })
    })
}

/// What lies at the bottom of an error, in plain words: `connection refused`.
#[must_use]
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let kind = links(error).filter_map(io_kind).last();
    match kind {
        // The system's own words end in a number: `Connection refused (os error 111)`.
        Some(
            kind @ (io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown),
        ) => kind.to_string(),
        Some(io::ErrorKind::TimedOut) => "nothing answers there".to_owned(),
        _ => links(error)
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string),
    }
}

fn io_kind(link: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    Some(link.downcast_ref::<io::Error>()?.kind())
}

/// An error and all that caused it. What an `io::Error` wraps is a link too, which its `source` skips.
fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&link| {
        let wrapped = link
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => link.source(),
        }
    })
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn reason(status: u16, body: &str) -> Option<FatalReason> {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers = HeaderMap::new();
        let verdict =
            Verdict::of_response(status, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
        Fatal::of_verdict(&verdict, status).map(|fatal| fatal.reason)
    }

    #[test]
    fn what_concerns_others_is_known_by_its_cause() {
        for (status, body, expected) in [
            (
                401,
                r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
                Some(FatalReason::Key),
            ),
            (
                400,
                r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
                Some(FatalReason::Account),
            ),
            (
                404,
                r#"{"error":{"code":"model_not_found","message":"The model `x` does not exist"}}"#,
                Some(FatalReason::Model),
            ),
            (404, "", Some(FatalReason::Path)),
            (405, "", Some(FatalReason::Path)),
            (
                403,
                r#"{"code":"Model.AccessDenied","message":"Model access denied."}"#,
                Some(FatalReason::Permission),
            ),
            (
                403,
                r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted."}"#,
                Some(FatalReason::FreeTier),
            ),
            (400, r#"{"error":{"code":"invalid_parameter_error"}}"#, None),
            (400, r#"{"code":"DataInspectionFailed"}"#, None),
            (429, r#"{"error":{"code":"limit_requests"}}"#, None),
            (413, "", None),
            (500, "", None),
            (503, "", None),
        ] {
            assert_eq!(reason(status, body), expected, "{status} {body}");
        }
        let used_up = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":7139}}"#;
        assert!(matches!(
            reason(429, used_up),
            Some(FatalReason::Plan { until: Some(_) })
        ));
    }

    #[test]
    fn a_connection_that_does_not_come_about_is_told_by_its_root() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let outer = io::Error::other(refused);
        let fatal = Fatal::of_error(&outer).expect("no connection");
        assert_eq!(
            (fatal.reason, fatal.said.as_str()),
            (FatalReason::Address, "connection refused")
        );
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(Fatal::of_error(&reset), None, "it was there");
    }
}
