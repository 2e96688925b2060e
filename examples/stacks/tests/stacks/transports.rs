//! The stack on every client and router. What differs from one to the next is all here.

use std::time::Duration;

use axum::{error_handling::HandleErrorLayer, response::IntoResponse};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::ClientBuilder;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_tokens::{
    adapter::{reqwest_0_13::ReqwestTransport, reqwest_middleware_0_5::TowerMiddleware},
    call::BoxError,
};

use crate::support::{Client, Place, boxed, for_axum};

pub(crate) fn hyper(place: &Place) -> Result<Client, BoxError> {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let client = place.stack().layer(client);
    Ok(client
        .map_request(|request: Request<Bytes>| request.map(Full::new))
        .map_response(boxed)
        .boxed_clone())
}

pub(crate) fn reqwest(place: &Place) -> Result<Client, BoxError> {
    let client = place.stack().layer(ReqwestTransport::build(builder())?);
    Ok(client
        .map_request(|request: Request<Bytes>| request.map(reqwest::Body::from))
        .map_response(boxed)
        .boxed_clone())
}

pub(crate) fn reqwest_middleware(place: &Place) -> Result<Client, BoxError> {
    let client = builder().retry(reqwest::retry::never()).build()?;
    let client = ClientBuilder::new(client)
        .with(TowerMiddleware::new(place.stack()))
        .build();
    let client = service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let answer = client.execute(request.try_into()?).await?;
            Ok::<_, BoxError>(boxed(Response::from(answer)))
        }
    });
    Ok(client.boxed_clone())
}

/// A router that answers itself, as the transport.
pub(crate) fn axum_below(place: &Place) -> Result<Client, BoxError> {
    let client = place.stack().layer(place.mock.router());
    Ok(client
        .map_request(for_axum)
        .map_response(boxed)
        .boxed_clone())
}

/// A router with the stack as a layer. Its services may not fail, so errors are made answers.
pub(crate) fn axum_layer(place: &Place) -> Result<Client, BoxError> {
    let refuse = async |error: BoxError| {
        (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
    };
    let stack = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refuse))
        .layer(place.stack());
    let router = place.mock.router().layer(stack);
    Ok(router
        .map_request(for_axum)
        .map_response(boxed)
        .map_err(|never| match never {})
        .boxed_clone())
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .pool_idle_timeout(Duration::from_secs(1))
}
