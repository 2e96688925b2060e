use bytes::Bytes;
use http::{
    HeaderValue, Request,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
};
use http_body::Body;

use super::is_signed;

/// Whether another body may take the place of this one: neither encoded nor signed, and as long as the one that was read.
pub(crate) fn may_rewrite<B: Body>(request: &Request<B>, read: &Bytes) -> bool {
    let headers = request.headers();
    // A layer in between may have replaced the body: then its bytes are not those that were read.
    let is_so_long = |length: u64| length == read.len() as u64;
    let stated = headers.get(CONTENT_LENGTH).map(stated_length);
    !headers.contains_key(CONTENT_ENCODING)
        && !is_signed(headers)
        && request.body().size_hint().exact().is_none_or(is_so_long)
        // A length that cannot be read proves nothing, so it counts as another one.
        && stated.is_none_or(|length| length.is_some_and(is_so_long))
}

/// Puts another body into a request, and its length where one is stated.
pub(crate) fn rewrite<B: From<Bytes>>(request: &mut Request<B>, body: Bytes) {
    // Where none is stated the transport chooses the framing; it must stay its choice.
    if request.headers().contains_key(CONTENT_LENGTH) {
        let length = HeaderValue::from(body.len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    *request.body_mut() = B::from(body);
}

fn stated_length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}
