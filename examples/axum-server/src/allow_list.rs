//! What the gateway passes on, by method and exact path: model calls, and the lists of models.
//!
//! It signs what it passes on with its own key, and a provider has more behind that key than models: files, batches,
//! deployments, keys. Nobody would meter those, and callers could read and delete what belongs to others.

use axum::{body::Body, extract::Request, response::Response};
use http::{
    HeaderName, HeaderValue,
    header::{ALLOW, TRANSFER_ENCODING},
};
use tower_qwen_tokens::Dialect;

use crate::errors::{error_format, method_not_allowed, not_found};

/// Lets a call through that is on the list; one for a list of models without its body, which nobody reads here.
///
/// # Errors
///
/// The answer to any other, boxed for its size: 405 where only the method is wrong, else 404.
pub fn check(request: &mut Request) -> Result<(), Box<Response>> {
    let Some(allowed) = method(request.uri().path()) else {
        return Err(Box::new(not_found(&error_format(request))));
    };
    if request.method() == allowed {
        if allowed == "GET" {
            take_body(request);
        }
        return Ok(());
    }
    let mut answer = method_not_allowed(&error_format(request));
    let allowed = HeaderValue::from_static(allowed);
    answer.headers_mut().insert(ALLOW, allowed);
    Err(Box::new(answer))
}

/// Takes the body away, and all headers that speak of it.
fn take_body(request: &mut Request) {
    *request.body_mut() = Body::empty();
    let headers = request.headers_mut();
    let is_of_body =
        |name: &&HeaderName| name.as_str().starts_with("content-") || *name == TRANSFER_ENCODING;
    let names: Vec<_> = headers.keys().filter(is_of_body).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The one method that a path is on the list with; `None` for a path that is not on it.
#[must_use]
pub fn method(path: &str) -> Option<&'static str> {
    if is_model_call(path) {
        Some("POST")
    } else if is_model_list(path) {
        Some("GET")
    } else {
        None
    }
}

fn is_model_call(path: &str) -> bool {
    Dialect::of_path(path).is_some_and(|dialect| {
        let mut ends = bases(dialect)
            .iter()
            .filter_map(|base| path.strip_prefix(base));
        ends.any(|end| is_whole(end, dialect))
    })
}

fn is_model_list(path: &str) -> bool {
    const BASES: [&str; 4] = [
        "/v1",
        "/compatible-mode/v1",
        "/api/v1",
        "/apps/anthropic/v1",
    ];
    path.strip_suffix("/models")
        .is_some_and(|base| BASES.contains(&base))
}

/// What comes before the end of a path by which the library knows the dialect.
fn bases(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        // The ends of these two begin with `/v1`.
        Dialect::Anthropic => &["", "/apps/anthropic"],
        Dialect::Generate => &[""],
        _ if dialect.is_native() && dialect.is_embedding() => &["/api/v1/services/embeddings"],
        _ if dialect.is_native() => &["/api/v1/services/aigc"],
        _ => &["/v1", "/compatible-mode/v1"],
    }
}

/// Whether the library needs every segment of this end to know the dialect.
///
/// The library accepts any segments before an end: for it, `/x/chat/completions` is chat too. Without its first segment that
/// is still chat, and `/chat/completions` is not.
fn is_whole(end: &str, dialect: Dialect) -> bool {
    let Some(segments) = end.strip_prefix('/') else {
        return false;
    };
    let rest = segments.find('/').map_or("", |at| &segments[at..]);
    // The library takes a slash at the end; the list does not.
    !end.ends_with('/')
        && Dialect::of_path(end) == Some(dialect)
        && Dialect::of_path(rest) != Some(dialect)
}
