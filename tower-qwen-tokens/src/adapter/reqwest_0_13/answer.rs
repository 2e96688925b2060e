//! Answers between reqwest's type and `http`'s.

use std::mem;

use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Body;
use reqwest::{ResponseBuilderExt, Url};

use crate::call::BoxError;

/// The answer as `http`'s, its URL in the extensions.
pub(super) fn into_http(answer: reqwest::Response) -> Response<reqwest::Body> {
    let url = answer.url().clone();
    let mut answer = Response::from(answer);
    answer.extensions_mut().extend(of_url(url));
    answer
}

/// The answer as reqwest's, with the URL in its extensions; with `url` where there is none.
pub(in crate::adapter) fn into_reqwest<B>(answer: Response<B>, url: Url) -> reqwest::Response
where
    B: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let mut answer = answer.map(reqwest::Body::wrap);
    // In this order, so that the URL of the answer itself wins.
    let own = mem::replace(answer.extensions_mut(), of_url(url));
    answer.extensions_mut().extend(own);
    answer.into()
}

/// The extension in which reqwest stores a URL. Its type is private, so a builder has to make it.
fn of_url(url: Url) -> Extensions {
    let mut builder = Response::builder().url(url);
    builder.extensions_mut().map(mem::take).unwrap_or_default()
}
