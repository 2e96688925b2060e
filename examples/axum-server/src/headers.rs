//! Headers on their way through, by RFC 9110 and by a list.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION,
        CONTENT_TYPE, LINK, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFRESH, SET_COOKIE,
        STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA,
        WWW_AUTHENTICATE,
    },
};

/// What holds for one connection only (section 7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What callers may say to the upstream. It comes with the gateway's key, so all else stays here: which workspace pays, who
/// forwarded it, cookies, an `Idempotency-Key` (two callers with the same one would get one answer), and whatever a provider invents
/// tomorrow.
const PASSED: [HeaderName; 16] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    USER_AGENT,
    VIA,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("x-dashscope-cachecontrol"),
    HeaderName::from_static("x-dashscope-datainspection"),
    HeaderName::from_static("x-dashscope-sse"),
    HeaderName::from_static("x-dashscope-useragent"),
    HeaderName::from_static("x-dashscope-wait-timeout"),
    HeaderName::from_static("x-request-id"),
];
/// The same by how they begin: what client libraries say of themselves.
const PASSED_PREFIX: &str = "x-stainless-";

/// What an upstream may not say to callers: cookies of its own, what a browser is to load, clear or report, where else or how
/// else to call it, what a proxy before the gateway is to do or serve (`x-accel-*`, `x-sendfile`), and what is left of the
/// gateway's own quota, which all callers share: a caller's own is stated by Enforce.
const KEPT: [HeaderName; 22] = [
    AUTHORIZATION,
    CONTENT_LOCATION,
    LINK,
    LOCATION,
    REFRESH,
    SET_COOKIE,
    WWW_AUTHENTICATE,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    STRICT_TRANSPORT_SECURITY,
    VIA,
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("access-control-allow-credentials"),
    HeaderName::from_static("access-control-allow-headers"),
    HeaderName::from_static("access-control-allow-methods"),
    HeaderName::from_static("access-control-allow-origin"),
    HeaderName::from_static("access-control-expose-headers"),
    HeaderName::from_static("access-control-max-age"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("x-sendfile"),
    // Whether to try again is the gateway's to say: it has tried already.
    HeaderName::from_static("x-should-retry"),
];
/// The same by how they begin.
const KEPT_PREFIXES: [&str; 4] = [
    "ratelimit-",
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-accel-",
];

/// Makes the caller's headers those of a request to the upstream. What is in `more` passes too.
///
/// `Host` follows the new address. `Accept-Encoding` goes, since the usage of a compressed answer cannot be read: the
/// answer is compressed on the way out instead. `Expect` is met already.
pub fn to_upstream(headers: &mut HeaderMap, more: &[HeaderName], key: Option<&HeaderValue>) {
    let passes = |name: &HeaderName| {
        PASSED.contains(name) || more.contains(name) || name.as_str().starts_with(PASSED_PREFIX)
    };
    strip(headers, |name| !passes(name));
    headers.append(VIA, HeaderValue::from_static("1.1 axum-server"));
    if let Some(key) = key {
        headers.insert(AUTHORIZATION, key.clone());
    }
}

/// Makes the upstream's headers those of an answer to the caller.
pub fn to_caller(headers: &mut HeaderMap) {
    strip(headers, |name| {
        let mut prefixes = KEPT_PREFIXES.iter();
        KEPT.contains(name) || prefixes.any(|prefix| name.as_str().starts_with(prefix))
    });
}

/// Removes what holds for one connection only, and what else is unwanted.
fn strip(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // By the names that are there: they are few, and a search in the map for each that may be takes longer.
    let goes =
        |name: &&HeaderName| HOP_BY_HOP.contains(name) || named.contains(name) || is_unwanted(name);
    let unwanted: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        let rows = rows.iter().map(|&(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        rows.collect()
    }

    #[test]
    fn what_holds_for_one_connection_goes_no_further() {
        let mut answer = headers(&[
            ("connection", "close, X-Own ,,"),
            ("x-own", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("set-cookie", "acw_tc=1"),
            ("location", "https://elsewhere/v1"),
            ("link", "</x.js>; rel=preload"),
            ("refresh", "0; url=https://elsewhere"),
            ("clear-site-data", "*"),
            ("www-authenticate", "Basic"),
            ("alt-svc", "h3=\":443\""),
            ("access-control-allow-origin", "*"),
            ("ratelimit", "limit=600, remaining=3, reset=7"),
            ("ratelimit-policy", "600;w=60"),
            ("x-ratelimit-remaining-tokens", "3"),
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("x-should-retry", "false"),
            ("x-accel-redirect", "/secret"),
            ("x-accel-buffering", "yes"),
            ("x-sendfile", "/etc/passwd"),
            ("content-type", "text/event-stream"),
        ]);
        to_caller(&mut answer);
        assert_eq!(answer, headers(&[("content-type", "text/event-stream")]));
    }

    #[test]
    fn a_request_is_addressed_and_signed_anew() {
        let mut request = headers(&[
            ("host", "gateway"),
            ("accept-encoding", "gzip"),
            ("expect", "100-continue"),
            ("via", "1.1 edge"),
            ("x-dashscope-sse", "enable"),
            ("x-dashscope-workspace", "another"),
            ("x-dashscope-async", "enable"),
            ("cookie", "session=1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("openai-organization", "another"),
            ("x-invented", "1"),
            ("idempotency-key", "1"),
            ("x-opened", "1"),
            ("x-stainless-lang", "python"),
        ]);
        to_upstream(
            &mut request,
            &[HeaderName::from_static("x-opened")],
            Some(&HeaderValue::from_static("Bearer sk-up")),
        );
        let via: Vec<_> = request.get_all(VIA).iter().collect();
        assert_eq!(via, ["1.1 edge", "1.1 axum-server"]);
        assert_eq!(request["authorization"], "Bearer sk-up");
        let mut names: Vec<_> = request.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "via",
            "x-dashscope-sse",
            "x-opened",
            "x-stainless-lang",
        ];
        assert_eq!(names, expected);
    }
}
