//! Which pages of other origins may call from a browser.

use std::{str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

/// How long a browser keeps the answer. Longer ones are cut by the browsers themselves.
const MAX_AGE: Duration = Duration::from_secs(600);

/// What a page may read of an answer beside its body.
const EXPOSED: [&str; 10] = [
    "retry-after",
    "x-request-id",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

/// An origin, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

impl FromStr for CorsOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "neither `*` nor an origin such as https://chat.example";
        let is_origin = |uri: Uri| {
            let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
            // A browser sends no slash behind it.
            is_web && !text.ends_with('/') && uri.path() == "/" && uri.query().is_none()
        };
        if text != "*" && !text.parse().is_ok_and(is_origin) {
            return Err(BAD);
        }
        text.to_ascii_lowercase().parse().map(Self).map_err(|_| BAD)
    }
}

/// The layer for these origins; `None` without any. It answers preflights itself, before any key is asked for: a browser
/// sends none with them.
#[must_use]
pub fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        all if all.iter().any(|origin| origin.0 == "*") => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().map(|origin| origin.0.clone())),
    };
    let exposed = EXPOSED.map(HeaderName::from_static);
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            // Client libraries for browsers send a dozen of their own. None is trusted for being allowed.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::list(exposed))
            .max_age(MAX_AGE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_more() {
        for text in ["*", "https://chat.example", "http://localhost:3000"] {
            assert!(text.parse::<CorsOrigin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "chat.example",
            "https://a.example/",
            "https://a.example/x",
            "ftp://a",
        ] {
            assert!(text.parse::<CorsOrigin>().is_err(), "{text}");
        }
        assert!(layer(&[]).is_none());
    }
}
