//! Bodies that the gateway reads itself: forms and JSON of the admin.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header::CONNECTION};
use tokio::time::timeout;

use crate::{admin::AdminProblem, gateway::Gateway};

/// The gateway, and how many bytes a body has at most.
pub(crate) type Bound = (Arc<Gateway>, usize);

/// Reads a body whole, so that no handler waits for a caller that does not send it.
pub(crate) async fn read(
    State((gateway, most)): State<Bound>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let problem = match timeout(gateway.args.limits.body_timeout, to_bytes(body, most)).await {
        Ok(Ok(body)) => {
            let request = Request::from_parts(parts, Body::from(body));
            return next.run(request).await;
        }
        Ok(Err(_)) => AdminProblem::TooLong,
        Err(_) => AdminProblem::TooSlow,
    };
    let mut answer = problem.into_response();
    // What comes of it now would be taken for the next request.
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}
