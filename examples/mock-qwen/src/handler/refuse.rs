//! Answers to calls that are not let in.

use std::time::UNIX_EPOCH;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::response;
use crate::account::{Figures, Refused};
use crate::config::{RateLimitHeaders, RetryAfter};
use crate::rate_limit_headers;
use crate::request::{Call, Delivery, wants_events};
use crate::retry_after;
use crate::server::{Inner, MockQwen};
use crate::wire::{
    Dialect, Facts, Kind, error_event, fill, message_of, messages_error, native_error,
};

/// Who calls, as far as is known.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(super) dialect: Dialect,
    pub(super) id: String,
    model: String,
    /// Whether a stream is asked for.
    streams: bool,
}

impl Caller {
    pub(crate) fn new(dialect: Dialect, headers: &HeaderMap, id: String) -> Self {
        Self {
            dialect,
            id,
            model: String::new(),
            streams: dialect.is_native() && wants_events(headers),
        }
    }

    pub(super) fn learn(&mut self, call: &Call) {
        self.model.clone_from(&call.model);
        self.streams = call.delivery != Delivery::Whole;
    }
}

pub(crate) fn refuse(mock: &MockQwen, caller: &Caller, refused: &Refused) -> Response<Body> {
    let inner = mock.inner();
    let profile = inner.profile();
    let kind = refused.problem.kind;
    let facts = facts(inner, caller, refused);
    let Some(row) = profile.row(caller.dialect.is_native(), kind) else {
        return response(StatusCode::NOT_FOUND, "text/plain", Body::empty());
    };
    let body = fill(row.body, &facts);
    if caller.streams {
        // A native stream tells of a bad parameter inside a 200, as was recorded.
        let events = if caller.dialect.is_native() && row.kind == Kind::Invalid {
            Some((
                "text/event-stream;charset=UTF-8",
                native_error(1, row.status, &body),
            ))
        } else if profile.refuses_in_stream && row.status == 503 {
            Some(("text/event-stream", error_event(profile, 1, &facts)))
        } else {
            None
        };
        if let Some((content_type, events)) = events {
            return response(StatusCode::OK, content_type, Body::from(events));
        }
    }
    let body = match caller.dialect {
        Dialect::Messages if profile.wraps_messages => {
            messages_error(row.status, &message_of(&body), &caller.id)
        }
        _ => body,
    };
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = response(status, "application/json", Body::from(body));
    for (name, value) in row.headers {
        if let Ok(value) = HeaderValue::from_str(&fill(value, &facts)) {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, value);
        }
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let form = match (inner.config.retry_after, rate_limit_form(inner)) {
            (RetryAfter::None, RateLimitHeaders::Groq) => RetryAfter::Seconds,
            (form, _) => form,
        };
        retry_after::add(response.headers_mut(), form, refused.wait, facts.wall);
        add_rate_limit(mock, &mut response);
    }
    response
}

/// A throttle under the status of a success, as the body of an answer or of a stream.
pub(super) fn disguised(mock: &MockQwen, caller: &Caller, events: bool) -> Response<Body> {
    let profile = mock.inner().profile();
    let refused = Refused::from(Kind::Tokens);
    let facts = facts(mock.inner(), caller, &refused);
    let row = profile.row(caller.dialect.is_native(), Kind::Tokens);
    let body = row.map_or_else(String::new, |row| fill(row.body, &facts));
    let content_type = if events {
        "text/event-stream"
    } else {
        "application/json"
    };
    response(StatusCode::OK, content_type, Body::from(body))
}

pub(super) fn facts<'a>(inner: &Inner, caller: &'a Caller, refused: &'a Refused) -> Facts<'a> {
    let wall = inner.clock.wall(inner.clock.now());
    let Figures { limit, used, asked } = refused.figures;
    Facts {
        id: &caller.id,
        model: &caller.model,
        message: &refused.problem.message,
        created: wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        limit,
        used,
        asked,
        wait: refused.wait.unwrap_or_default(),
        wall,
    }
}

pub(super) fn add_rate_limit(mock: &MockQwen, response: &mut Response<Body>) {
    let inner = mock.inner();
    let (requests, tokens) = {
        let mut account = inner.account();
        account.room(inner.clock.now())
    };
    let form = rate_limit_form(inner);
    rate_limit_headers::add(response.headers_mut(), form, requests, tokens);
}

/// What the settings name, else what the host sends.
fn rate_limit_form(inner: &Inner) -> RateLimitHeaders {
    match inner.config.rate_limit_headers {
        RateLimitHeaders::None => inner.profile().rate_limit_headers,
        form => form,
    }
}
