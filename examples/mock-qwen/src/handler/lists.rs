//! What a client may ask beside calls: the models, and the tokens of a prompt.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, Response};
use serde_json::json;

use super::refuse::{Caller, refuse};
use super::{add_id, key, start};
use crate::server::MockQwen;
use crate::wire::{self, Dialect};

pub(super) async fn models(State(mock): State<MockQwen>, headers: HeaderMap) -> Response<Body> {
    let inner = mock.inner();
    let id = inner.account().id();
    if let Err(kind) = key::check(&inner.config, Dialect::Compatible, &headers) {
        let caller = Caller::new(Dialect::Compatible, &headers, id);
        return refuse(&mock, &caller, &kind.into());
    }
    let since = inner.clock.wall(Duration::ZERO).duration_since(UNIX_EPOCH);
    let created = since.unwrap_or_default().as_secs();
    let list = wire::models(inner.profile(), &inner.config.quota_models, created);
    let mut response = Json(list).into_response();
    add_id(&mut response, &id);
    response
}

/// Nothing is charged.
pub(super) async fn count_tokens(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let id = mock.inner().account().id();
    let mut response = match start::read(&mock, Dialect::Messages, &headers, &body) {
        Ok(call) => {
            let tokens: u64 = call.tokens.iter().sum();
            Json(json!({ "input_tokens": tokens })).into_response()
        }
        Err(refused) => {
            let caller = Caller::new(Dialect::Messages, &headers, id.clone());
            refuse(&mock, &caller, &refused)
        }
    };
    add_id(&mut response, &id);
    response
}
