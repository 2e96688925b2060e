//! `/usage`: what was used and what it cost.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tower_qwen_tokens::{
    error_format::ErrorFormat,
    ledger::{Snapshot, Tenant, Totals},
};

use crate::{
    access::NoAdmin, admin::AdminProblem, api_key::ApiKey, auth::unauthenticated, gateway::Gateway,
    serve::of_admin,
};

#[derive(Serialize)]
struct Own {
    tenant: Tenant,
    usage: Totals,
}

/// The ledger's sums, with those by upstream, which it has not.
#[derive(Serialize)]
struct All {
    #[serde(flatten)]
    sums: Snapshot,
    upstreams: BTreeMap<String, Totals>,
}

/// The handler: everything for the admin, a caller's own for the caller.
pub async fn usage(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let key = ApiKey::take(request.headers_mut());
    let Some(key) = key else {
        return unauthenticated(&ErrorFormat::of("/usage", request.headers()));
    };
    if let Some(caller) = gateway.live().callers.caller(&key) {
        let mut tenants = gateway.ledger.snapshot().tenants;
        return Json(Own {
            usage: tenants.remove(caller.name.as_str()).unwrap_or_default(),
            tenant: caller.name.clone(),
        })
        .into_response();
    }
    // No caller's key, so it may be a try to find the admin's.
    match gateway.check_admin_key(&key, request.extensions()).await {
        Ok(()) => of_admin(
            Json(All {
                sums: gateway.ledger.snapshot(),
                upstreams: gateway.upstream_sums.snapshot(),
            })
            .into_response(),
        ),
        Err(NoAdmin::TooMany(wait)) => AdminProblem::TooMany(wait).into_response(),
        Err(_) => unauthenticated(&ErrorFormat::of("/usage", request.headers())),
    }
}
