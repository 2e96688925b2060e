//! Sends a call on, and its answer back, frame by frame.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use http::{
    Method, StatusCode, Version,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body as _;
use tower::ServiceExt;
use tower_qwen_ratelimit::enforce::Reserved;
use tower_qwen_tokens::{
    Call, Dialect, Verdict,
    internal::SendMark,
    protocol::rejection::{BAD_GATEWAY, UNSUPPORTED_MEDIA},
};
use tracing::{error, warn};

use crate::{
    attempt::Spent,
    call_log::CallNotes,
    errors::{Failure, error_format, too_long, unknown_coding},
    gateway::Gateway,
    headers,
    tries::Peer,
    waits,
};

/// The service below the Meter. Dropping its future, or the answer's body, cuts the connection to the upstream.
///
/// # Errors
///
/// The gateway's own answer to a call that went out and was not answered, boxed for its size. Of an answer the Meter would
/// read that nothing was used; of an error it says that nobody knows.
pub async fn forward(
    gateway: Arc<Gateway>,
    mut request: Request,
) -> Result<Response, Box<Response>> {
    let format = error_format(&request);
    // Here, and not where it is read: a call that cannot be passed on costs its request.
    if request.body().size_hint().lower() > gateway.args.max_body as u64 {
        return Ok(too_long(&format));
    }
    if is_encoded(&request) {
        let codings = match gateway.args.no_decompression {
            true => "identity",
            false => "zstd,gzip,br",
        };
        return Ok(unknown_coding(&format, codings));
    }
    if is_unread_model_call(&request) {
        let message =
            "A call of a model must be JSON: send the header Content-Type: application/json.";
        return Ok(format.error(UNSUPPORTED_MEDIA, message).map(Body::from));
    }
    if !is_utf8(&request) {
        let message =
            "The header Content-Type names a charset that is not taken here: send JSON in UTF-8.";
        return Ok(format.error(UNSUPPORTED_MEDIA, message).map(Body::from));
    }
    let live = gateway.live();
    let route = match live.routes.route(&mut request) {
        Ok(route) => route,
        Err(none) => return Ok(none.answer(&format)),
    };
    *request.version_mut() = Version::HTTP_11;
    let more = &gateway.args.pass_headers;
    headers::to_upstream(request.headers_mut(), more, route.key());
    let call = Call::of(&request).cloned();
    let spent = Spent::default();
    let extensions = request.extensions_mut();
    // Taken out where nothing further in asks for them: Retry copies all that is there.
    let reserved = extensions.remove::<Reserved>();
    let notes = extensions.remove::<CallNotes>();
    extensions.remove::<Peer>();
    extensions.insert(spent.clone());
    if let Some(notes) = notes {
        let model = call.as_ref().and_then(|call| call.model_call());
        notes.set_route(model.map(|call| &call.model), route.first_upstream());
    }
    let is_bare = gateway.args.bare;
    let predicted = || match is_bare {
        true => None,
        false => route.predicted_wait(gateway.upstream(), call.as_deref()),
    };
    let mark = call
        .as_deref()
        .map(|call| call.report().facts().send_mark());
    let sent = route.client.clone().oneshot(request);
    let answered = match &call {
        Some(call) if !is_bare => {
            let report = call.report();
            let waited = || report.queued() + report.retry_wait();
            waits::within(sent, live.args.max_wait, || spent.is_sent(), waited).await
        }
        _ => Some(sent.await),
    };
    let answered = match answered {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => {
            warn!(error = chain(&*error), "no answer from upstream");
            Err(Failure::of(&*error))
        }
        None => {
            warn!("no answer from upstream: the call has waited as long as it may");
            Err(Failure::waited())
        }
    };
    // Some hosts refuse with a status of 200.
    let is_success = |answer: &Response| {
        answer.status().is_success() && answer.extensions().get::<Verdict>().is_none()
    };
    if let (Some(call), Some(mark), Some(reserved)) = (&call, mark, reserved)
        && !answered.as_ref().is_ok_and(is_success)
    {
        reserved.settle(prompt_if_unanswered(call, mark), 0);
    }
    match answered {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            error!("the upstream refuses the gateway's own key");
            let message = "The server behind refuses the gateway.";
            Ok(format.error(BAD_GATEWAY, message).map(Body::from))
        }
        Ok(answer) if answer.status().is_informational() || answer.status().is_redirection() => {
            error!(status = %answer.status(), "the upstream sends calls elsewhere");
            let message = "The server behind sends the call elsewhere, where it may not go.";
            Ok(format.error(BAD_GATEWAY, message).map(Body::from))
        }
        Ok(mut answer) => {
            headers::to_caller(answer.headers_mut());
            if waits::is_later(answer.status()) {
                let wait = waits::of_upstream(&answer, predicted());
                waits::come_back(&mut answer, wait);
            }
            Ok(answer)
        }
        Err(last) => {
            let last = last.of_away(spent.is_away()).or_wait(predicted);
            let failure = match spent.first() {
                None => return Ok(last.answer(&format)),
                // That another attempt could not be made is not why the call failed.
                Some(Some(first)) if last.is_unsent() => first,
                _ => last,
            };
            Err(Box::new(failure.answer(&format)))
        }
    }
}

/// What a call costs that failed: its prompt if something of it was sent and never answered, and nothing if all was answered with
/// errors. The Meter books the same, so that a restart, which reads the ledger, finds the sum that was charged.
fn prompt_if_unanswered(call: &Call, mark: SendMark) -> u64 {
    let prompt = call.model_call().map_or(0, |call| call.input_tokens);
    match call.report().facts().may_cost_since(mark) {
        true => prompt,
        false => 0,
    }
}

/// A call whose cost nobody could see beforehand, for its body was compressed or no JSON.
fn is_unread_model_call(request: &Request) -> bool {
    request.method() == Method::POST
        && Dialect::of_path(request.uri().path()).is_some()
        && Call::of(request).is_some_and(|call| call.model_call().is_none())
}

/// Whether no charset is named but those by which the gateway has read the call: by another one the upstream would read another.
fn is_utf8(request: &Request) -> bool {
    // The third is none, and what many clients write.
    const TAKEN: [&str; 3] = ["utf-8", "us-ascii", "utf8"];
    let kinds = request.headers().get_all(CONTENT_TYPE).iter();
    let mut parameters = kinds.flat_map(|kind| kind.as_bytes().split(|&byte| byte == b';').skip(1));
    parameters.all(|parameter| {
        let parameter = String::from_utf8_lossy(parameter);
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let value = value.trim().trim_matches('"');
        let is_taken = TAKEN.iter().any(|taken| value.eq_ignore_ascii_case(taken));
        is_taken || !name.trim().eq_ignore_ascii_case("charset")
    })
}

/// Whether the body is compressed still.
fn is_encoded(request: &Request) -> bool {
    let mut codings = request.headers().get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
