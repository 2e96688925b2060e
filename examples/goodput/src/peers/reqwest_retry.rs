//! reqwest-middleware with reqwest-retry.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use tower::{BoxError, service_fn};

use super::{ATTEMPTS, Told, waits};
use crate::stack::Client;

pub(super) fn client(told: Told) -> Client {
    let (shortest, longest) = waits(told.window);
    let policy = ExponentialBackoff::builder()
        .retry_bounds(shortest, longest)
        .build_with_max_retries(ATTEMPTS - 1);
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .build();
    Client::new(service_fn(move |request: Request<Full<Bytes>>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = reqwest::Request::try_from(Request::from_parts(head, body))?;
            let response: Response<reqwest::Body> = client.execute(request).await?.into();
            Ok::<_, BoxError>(response.map(Body::new))
        }
    }))
}
