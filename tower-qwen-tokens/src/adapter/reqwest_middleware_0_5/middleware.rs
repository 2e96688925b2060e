use std::{future::poll_fn, mem};

use bytes::Bytes;
use http::Extensions;
use http_body::Body;
use reqwest::{Request, Response, Url};
use reqwest_middleware::{Middleware, Next, Result};
use tower_layer::Layer;
use tower_service::Service;

use super::{NextService, error::into_middleware_error, next::SharedExtensions};
use crate::{
    adapter::reqwest_0_13::{ReqwestTransport, into_reqwest},
    call::BoxError,
};

/// A stack as a middleware. See the [module docs](super).
///
/// `L` is a layer, or the layers of `tower::ServiceBuilder::into_inner`.
#[derive(Debug, Clone)]
#[must_use]
pub struct TowerMiddleware<L> {
    layer: L,
}

/// An answer of a stack: every `http::Response` whose body is `Send + Sync + 'static` and has bytes
/// as its data.
pub trait Answer: sealed::Sealed {
    #[doc(hidden)]
    fn into_reqwest(self, url: Url) -> Response;
}

type HttpRequest = http::Request<reqwest::Body>;
type Layered<'a, L> = <L as Layer<ReqwestTransport<NextService<'a>>>>::Service;

impl<L> TowerMiddleware<L> {
    /// The middleware of this layer.
    pub const fn new(layer: L) -> Self {
        Self { layer }
    }
}

#[async_trait::async_trait]
impl<L> Middleware for TowerMiddleware<L>
where
    L: for<'a> Layer<ReqwestTransport<NextService<'a>>> + Send + Sync + 'static,
    for<'a> Layered<'a, L>: Service<HttpRequest> + Send,
    for<'a> <Layered<'a, L> as Service<HttpRequest>>::Response: Answer + Send,
    for<'a> <Layered<'a, L> as Service<HttpRequest>>::Error: Into<BoxError> + Send,
    for<'a> <Layered<'a, L> as Service<HttpRequest>>::Future: Send,
{
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let url = request.url().clone();
        let mut request = HttpRequest::try_from(request)?;
        // The middlewares' extensions, for our layers; those of the request itself take precedence.
        let own = mem::replace(request.extensions_mut(), extensions.clone());
        request.extensions_mut().extend(own);

        let shared = SharedExtensions::new(extensions.clone());
        let next = NextService::new(next, shared.clone());
        let mut service = self.layer.layer(ReqwestTransport::new(next));
        let answer = match poll_fn(|cx| service.poll_ready(cx)).await {
            Ok(()) => service.call(request).await,
            Err(error) => Err(error),
        };
        *extensions = shared.get();
        match answer {
            Ok(answer) => Ok(answer.into_reqwest(url)),
            Err(error) => Err(into_middleware_error(error.into())),
        }
    }
}

impl<B> Answer for http::Response<B>
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    fn into_reqwest(self, url: Url) -> Response {
        into_reqwest(self, url)
    }
}

mod sealed {
    pub trait Sealed {}

    impl<B> Sealed for http::Response<B> {}
}
