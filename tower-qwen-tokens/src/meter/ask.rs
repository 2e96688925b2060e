use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH},
};
use http_body::Body;

use crate::{Call, Dialect};

/// Headers that cover a body's bytes.
const SIGNATURES: [HeaderName; 8] = [
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-acs-content-sha256"),
];

/// Puts the body that asks for usage into a request of a compatible stream whose caller does not ask; tells whether.
///
/// Leaves alone what is encoded or signed, and a body that is no longer the one that was read.
pub(super) fn ask<B: Body + From<Bytes>>(call: &Call, request: &mut Request<B>) -> bool {
    let is_silent = call.model_call().is_some_and(|call| {
        call.stream
            && !call.include_usage
            && matches!(call.dialect, Dialect::Chat | Dialect::Completions)
    });
    if !is_silent
        || request.headers().contains_key(CONTENT_ENCODING)
        || is_signed(request.headers())
    {
        return false;
    }
    let Some(original) = call.body() else {
        return false;
    };
    let is_long_so = |length: u64| length == original.len() as u64;
    let stated = request.headers().get(CONTENT_LENGTH);
    let stated = stated.map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    if !request.body().size_hint().exact().is_none_or(is_long_so)
        || stated.is_some_and(|length| !length.is_some_and(is_long_so))
    {
        return false;
    }
    let Some(asking) = call.asking_body() else {
        return false;
    };
    if stated.is_some() {
        let length = HeaderValue::from(asking.len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    *request.body_mut() = B::from(asking.clone());
    true
}

/// Whether a signature or a digest covers the body's bytes.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    let is_signature = |value: &HeaderValue| {
        let scheme = value.as_bytes().split(u8::is_ascii_whitespace).next();
        let scheme = scheme.unwrap_or_default().to_ascii_lowercase();
        scheme == b"signature" || scheme.windows(4).any(|part| part == b"hmac")
    };
    SIGNATURES.iter().any(|name| headers.contains_key(name))
        || headers.get_all(AUTHORIZATION).iter().any(is_signature)
}
