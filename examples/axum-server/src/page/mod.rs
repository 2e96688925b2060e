//! `/`: the page for the admin, its form, its session and its stream of figures.

mod assets;
mod events;
mod figures;
mod history;
mod login;
pub(crate) mod session;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};

pub(crate) use self::{events::Viewers, history::History};
use crate::{access::Door, admin::AdminProblem, gateway::Gateway, own_bodies, serve::of_admin};

/// Longer than any key.
const MAX_BODY: usize = 4 << 10;

/// What a browser may do with the page: load what comes from here, and nothing that stands in the page itself.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // To this origin itself a form has to say where it comes from.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// `/` and all below `/page`.
pub fn router(gateway: &Arc<Gateway>) -> Router<Arc<Gateway>> {
    let page = Router::new()
        .route("/", get(index))
        .route("/page/login", post(login::login))
        .route("/page/logout", post(login::logout))
        .route("/page/events", get(events::events));
    assets::ALL
        .iter()
        .fold(page, |page, asset| {
            page.route(asset.path, get(async || asset.answer()))
        })
        .method_not_allowed_fallback(async || AdminProblem::Method)
        .layer(from_fn_with_state(
            (gateway.clone(), MAX_BODY),
            own_bodies::read,
        ))
        .layer(from_fn_with_state(gateway.clone(), behind_door))
        .layer(from_fn(with_headers))
}

/// Answers 404 where the page is not for whoever asks.
async fn behind_door(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    match gateway.door(request.headers(), request.uri()) {
        Door::Absent => AdminProblem::NotFound.into_response(),
        Door::Locked if gateway.has_session(request.headers()) => of_admin(next.run(request).await),
        Door::Locked | Door::Open => next.run(request).await,
    }
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for (name, value) in HEADERS {
        // Files say themselves how long they may be kept.
        answer
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// The page, or the form that leads to it.
async fn index(State(gateway): State<Arc<Gateway>>, headers: HeaderMap, uri: Uri) -> Response {
    let is_open = gateway.door(&headers, &uri) == Door::Open;
    match is_open || gateway.has_session(&headers) {
        true => assets::html(assets::INDEX),
        false => login::form(None),
    }
}
