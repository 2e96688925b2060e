//! `/usage`: what was used and what it cost.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use serde::Serialize;
use tower_qwen_tokens::{
    error_format::ErrorFormat,
    ledger::{Tenant, Totals},
};

use crate::{auth::unauthenticated, callers::ApiKey, gateway::Gateway};

#[derive(Serialize)]
struct Own {
    tenant: Tenant,
    usage: Totals,
}

/// The handler: everything for the admin, a caller's own for the caller.
pub async fn usage(State(gateway): State<Arc<Gateway>>, mut headers: HeaderMap) -> Response {
    let Some(key) = ApiKey::take(&mut headers) else {
        return unauthenticated(&ErrorFormat::of("/usage", &headers));
    };
    if gateway.callers.is_admin(&key) {
        return Json(gateway.ledger.snapshot()).into_response();
    }
    match gateway.callers.tenant(&key) {
        Some(tenant) => {
            let mut tenants = gateway.ledger.snapshot().tenants;
            Json(Own {
                usage: tenants.remove(tenant.as_str()).unwrap_or_default(),
                tenant: tenant.clone(),
            })
            .into_response()
        }
        None => unauthenticated(&ErrorFormat::of("/usage", &headers)),
    }
}
