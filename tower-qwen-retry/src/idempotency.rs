use http::{HeaderMap, HeaderName, Method, Request};
use tower_qwen_tokens::{Dialect, call::UnbufferedBody};

// With it the server makes a request take effect once, however often it is sent (IETF draft of the
// HTTP API group).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Declares that a request may be sent more than once, for any method and path.
///
/// The caller puts it into the request's extensions. The body must still be in memory: empty, or a
/// model call's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Idempotent;

/// Whether a request may be sent more than once. See the [module
/// docs](crate::retry#what-is-sent-again).
pub(crate) fn is_repeatable<B>(request: &Request<B>) -> bool {
    let extensions = request.extensions();
    // First: there is no body to send again, whatever else is declared.
    if extensions.get::<UnbufferedBody>().is_some() {
        return false;
    }
    // A model call takes effect twice only as tokens: an answer that got lost is worth them.
    is_idempotent(request.method())
        || *request.method() == Method::POST && Dialect::of_path(request.uri().path()).is_some()
        || request.headers().contains_key(IDEMPOTENCY_KEY)
        || extensions.get::<Idempotent>().is_some()
}

/// By RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    )
}

/// Whether the call is the retry of a retrier further out, by its marker.
pub(crate) fn is_retry(headers: &HeaderMap, marker: Option<&HeaderName>) -> bool {
    let Some(marker) = marker else { return false };
    let count = |value: &http::HeaderValue| value.to_str().ok()?.trim().parse::<u64>().ok();
    headers
        .get_all(marker)
        .iter()
        // Zero and what is no number come from clients that send the header with every first
        // attempt, too.
        .filter_map(count)
        .any(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = "https://host/compatible-mode/v1/chat/completions";
    const BATCH: &str = "https://host/compatible-mode/v1/batches/b/cancel";

    fn request(method: Method, uri: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(uri);
        request.body(()).expect("a request")
    }

    #[test]
    fn method_path_and_declarations_decide() {
        let rows = [
            (Method::POST, CHAT, true),
            (Method::POST, BATCH, false),
            (Method::PATCH, CHAT, false),
            (Method::GET, BATCH, true),
            (Method::HEAD, BATCH, true),
            (Method::PUT, BATCH, true),
            (Method::DELETE, BATCH, true),
            (Method::OPTIONS, BATCH, true),
            (Method::CONNECT, BATCH, false),
        ];
        for (method, uri, expected) in rows {
            let request = request(method, uri);
            assert_eq!(is_repeatable(&request), expected, "{request:?}");
        }
        let mut declared = request(Method::POST, BATCH);
        declared.extensions_mut().insert(Idempotent);
        assert!(is_repeatable(&declared));
        declared.extensions_mut().insert(UnbufferedBody);
        assert!(!is_repeatable(&declared), "no body to send again");
        let mut keyed = request(Method::POST, BATCH);
        let key = "7".parse().expect("a header value");
        keyed.headers_mut().insert("idempotency-key", key);
        assert!(is_repeatable(&keyed));
    }

    #[test]
    fn a_marker_counts_if_it_is_a_number_above_zero() {
        let marker = HeaderName::from_static("x-retry");
        for (value, expected) in [
            ("0", false),
            ("1", true),
            (" 2 ", true),
            ("x", false),
            ("-1", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(marker.clone(), value.parse().expect("a value"))]);
            assert_eq!(is_retry(&headers, Some(&marker)), expected, "{value}");
        }
        assert!(!is_retry(&HeaderMap::new(), Some(&marker)));
    }
}
