//! Headers on their way through, by RFC 9110.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT_ENCODING, CONNECTION, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
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

/// Makes the caller's headers those of a request to the upstream.
///
/// `Host` follows the new address. `Accept-Encoding` goes, since the usage of a compressed answer cannot be read: the
/// answer is compressed on the way out instead. `Expect` is met already.
pub fn to_upstream(headers: &mut HeaderMap, key: Option<&HeaderValue>) {
    strip(headers);
    for name in [HOST, ACCEPT_ENCODING, EXPECT] {
        headers.remove(name);
    }
    headers.append(VIA, HeaderValue::from_static("1.1 axum-server"));
    if let Some(key) = key {
        headers.insert(http::header::AUTHORIZATION, key.clone());
    }
}

/// Makes the upstream's headers those of an answer to the caller.
pub fn to_caller(headers: &mut HeaderMap) {
    strip(headers);
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
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
        ]);
        to_upstream(
            &mut request,
            Some(&HeaderValue::from_static("Bearer sk-up")),
        );
        let via: Vec<_> = request.get_all(VIA).iter().collect();
        assert_eq!(via, ["1.1 edge", "1.1 axum-server"]);
        assert_eq!(request["authorization"], "Bearer sk-up");
        assert_eq!(request["x-dashscope-sse"], "enable");
        assert_eq!(request.len(), 4);
    }
}
