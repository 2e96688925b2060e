use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;
use tracing::error;

use crate::{
    access::NoAdmin,
    config::{Fault, Problems},
    live::NoChange,
    waits::whole_seconds,
};

/// Why an admin's request is not done.
#[derive(Debug)]
pub(crate) enum AdminProblem {
    Key,
    /// So long no key of this address is looked at.
    TooMany(Duration),
    Origin,
    NotFound,
    Method,
    TooLong,
    TooSlow,
    /// No JSON of this kind.
    Body(String),
    /// What is wrong in an entry.
    Faults(Vec<Fault>),
    /// There is one with this name.
    Exists(String),
    /// There is none with this name.
    Unknown(String),
    /// It is the operator's, who changes the file.
    OfFile(String),
    Unsound(Problems),
    Unsaved(std::io::Error),
    Stopping,
}

impl From<NoAdmin> for AdminProblem {
    fn from(no_admin: NoAdmin) -> Self {
        match no_admin {
            NoAdmin::Absent => Self::NotFound,
            NoAdmin::Key => Self::Key,
            NoAdmin::TooMany(wait) => Self::TooMany(wait),
            NoAdmin::Origin => Self::Origin,
        }
    }
}

impl From<NoChange> for AdminProblem {
    fn from(no_change: NoChange) -> Self {
        match no_change {
            NoChange::Unsound(problems) => Self::Unsound(problems),
            NoChange::Unsaved(error) => Self::Unsaved(error),
        }
    }
}

impl IntoResponse for AdminProblem {
    fn into_response(self) -> Response {
        let (status, message) = match &self {
            Self::Key => (
                StatusCode::UNAUTHORIZED,
                "the admin's key is needed here".to_owned(),
            ),
            Self::TooMany(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                format!(
                    "too many wrong keys came from this address: try again in {} s",
                    whole_seconds(*wait)
                ),
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "a page of another origin may not change anything".to_owned(),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "there is nothing at this path".to_owned(),
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not take the method".to_owned(),
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too long".to_owned(),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "the body did not come in time".to_owned(),
            ),
            Self::Body(message) => (StatusCode::BAD_REQUEST, message.clone()),
            Self::Faults(faults) => {
                let faults = faults
                    .iter()
                    .map(|fault| format!("`{}`: {}", fault.key, fault.message));
                (
                    StatusCode::BAD_REQUEST,
                    faults.collect::<Vec<_>>().join("; "),
                )
            }
            Self::Exists(name) => (StatusCode::CONFLICT, format!("there is a {name} already")),
            Self::Unknown(name) => (StatusCode::NOT_FOUND, format!("there is no {name}")),
            Self::OfFile(name) => (
                StatusCode::CONFLICT,
                format!("{name} is in the configuration file: change it there and reload"),
            ),
            Self::Unsound(problems) => (StatusCode::UNPROCESSABLE_ENTITY, problems.to_string()),
            Self::Unsaved(error) => {
                error!(%error, "the state file cannot be written: nothing is changed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the state file cannot be written".to_owned(),
                )
            }
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "it is stopping".to_owned()),
        };
        let mut body = json!({"error": {"message": message}});
        if let Self::Unsound(problems) = &self {
            body["error"]["problems"] = json!(problems.list());
        }
        let mut answer = (status, Json(body)).into_response();
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::TooMany(wait) = &self {
            headers.insert(RETRY_AFTER, whole_seconds(*wait).into());
        }
        if matches!(self, Self::Key) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
