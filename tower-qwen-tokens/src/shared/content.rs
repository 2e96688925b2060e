use http::{HeaderMap, header::CONTENT_ENCODING};

/// Whether a body is compressed, or encoded in another way, so that its bytes cannot be read as
/// they are.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| {
        let encoding = encoding.as_bytes().trim_ascii();
        !encoding.eq_ignore_ascii_case(b"identity")
    })
}
