//! A limiter of requests and tokens under tower's Retry, as users put it together.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn};

use super::{Told, again::Again, estimate, hyper, waits};
use crate::request::Known;
use crate::stack::Client;

/// Sends a call, and each repetition of it, once `admit` lets its estimated tokens go.
pub(super) fn client<A, F>(told: Told, admit: A) -> Client
where
    A: Fn(u64) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let transport = hyper();
    let limited = service_fn(move |request: Request<Full<Bytes>>| {
        let known = request.extensions().get::<Known>();
        let admitted = admit(known.map_or(0, |known| estimate(*known)));
        let transport = transport.clone();
        async move {
            admitted.await;
            transport.oneshot(request).await
        }
    });
    let retry = RetryLayer::new(Again::new(waits(told.window)));
    Client::new(ServiceBuilder::new().layer(retry).service(limited))
}
