//! What a failed attempt says.

use std::error::Error;

use http::{Extensions, StatusCode};
use tower_qwen_ratelimit::{Rejected, budget::BudgetError};
use tower_qwen_tokens::{Verdict, call::ParseError};

use crate::{fatal::Fatal, output::ErrorPart};

/// A failure, and what it means for other calls.
pub type Known = (ErrorPart, Option<Fatal>);

/// What the head of an answer says of its failure, once it has been classified; `None` of a success.
#[must_use]
pub fn of_parts(status: StatusCode, extensions: &Extensions) -> Option<Known> {
    if let Some(error) = extensions.get::<ErrorPart>() {
        return Some((error.clone(), None));
    }
    let Some(verdict) = extensions.get::<Verdict>() else {
        let code = format!("http_{}", status.as_u16());
        let error = ErrorPart::new(code, "the provider did not answer");
        return (!status.is_success()).then_some((error, None));
    };
    let status = verdict.status().unwrap_or(status);
    let code = verdict
        .code()
        .map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned);
    let error = ErrorPart::new(code, verdict.message().unwrap_or_default());
    Some((error, Fatal::of_verdict(verdict, status)))
}

/// What an attempt failed with that brought no answer; `None` where it was not sent.
#[must_use]
pub fn of_error(error: &(dyn Error + 'static)) -> Option<Known> {
    let is_sent = find::<Rejected>(error).is_none()
        && find::<BudgetError>(error).is_none()
        && find::<ParseError>(error).is_none();
    is_sent.then(|| of_transport(error))
}

/// What a failure of the connection says.
#[must_use]
pub fn of_transport(error: &(dyn Error + 'static)) -> Known {
    match Fatal::of_error(error) {
        Some(fatal) => {
            let message = format!("cannot connect: {}", fatal.said);
            (ErrorPart::new("transport", message), Some(fatal))
        }
        None => (ErrorPart::new("transport", chain(error)), None),
    }
}

/// The error of this type, in the chain of an error.
#[must_use]
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// An error and what caused it, in one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
