use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

/// Headers that cover a body's bytes.
// The server would reject a body that no longer fits them.
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

/// Whether a signature or a digest covers the body's bytes.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    let is_signature = |value: &HeaderValue| {
        let scheme = value.as_bytes().split(u8::is_ascii_whitespace).next();
        let scheme = scheme.unwrap_or_default().to_ascii_lowercase();
        // HMAC schemes have many names: `hmac-sha256`, `acs3-hmac-sha256`, ...
        scheme == b"signature" || scheme.windows(4).any(|part| part == b"hmac")
    };
    // By the names that are there: they are few, and each search in the map costs a hash.
    headers.keys().any(|name| SIGNATURES.contains(name))
        || headers.get_all(AUTHORIZATION).iter().any(is_signature)
}
