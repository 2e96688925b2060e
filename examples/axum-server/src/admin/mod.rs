//! `/admin/`: callers and groups, and the reload of the configuration. For the admin's key; without one for this machine alone.

mod entries;
mod problem;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};

use crate::{
    config::{CallerEntry, GroupEntry},
    gateway::Gateway,
    own_bodies,
    serve::of_admin,
};
pub(crate) use problem::AdminProblem;

/// Longer than any caller with its models.
const MAX_BODY: usize = 64 << 10;

/// All of it, below `/admin`.
pub fn router(gateway: &Arc<Gateway>) -> Router {
    Router::new()
        .route("/reload", post(reload))
        .route(
            "/callers",
            get(entries::list::<CallerEntry>).post(entries::add::<CallerEntry>),
        )
        .route(
            "/callers/{name}",
            patch(entries::change::<CallerEntry>).delete(entries::remove::<CallerEntry>),
        )
        .route(
            "/groups",
            get(entries::list::<GroupEntry>).post(entries::add::<GroupEntry>),
        )
        .route(
            "/groups/{name}",
            patch(entries::change::<GroupEntry>).delete(entries::remove::<GroupEntry>),
        )
        .fallback(async || AdminProblem::NotFound)
        .method_not_allowed_fallback(async || AdminProblem::Method)
        .layer(from_fn_with_state(
            (gateway.clone(), MAX_BODY),
            own_bodies::read,
        ))
        .layer(from_fn_with_state(gateway.clone(), check))
        .with_state(gateway.clone())
}

/// Lets the admin through.
async fn check(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    match gateway.check_admin(&mut request).await {
        Ok(()) => of_admin(next.run(request).await),
        Err(no_admin) => AdminProblem::from(no_admin).into_response(),
    }
}

async fn reload(State(gateway): State<Arc<Gateway>>) -> Response {
    match blocking(move || gateway.reload()).await {
        Ok(Ok(reloaded)) => Json(reloaded).into_response(),
        Ok(Err(problems)) => AdminProblem::Unsound(problems).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Runs what waits for the disk where it holds up no call.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdminProblem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| AdminProblem::Stopping)
}
