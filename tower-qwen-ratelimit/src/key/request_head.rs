use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, header};
use tower_qwen_tokens::Call;

use super::{Digest, Key, KeyRef, NameRef, Salt};

/// Headers besides `Authorization` in which callers send their API key, in the order in which they
/// are read: Anthropic's clients use the first, Azure's the second.
const API_KEY_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// A request without its body, from which [`KeyOf`](crate::KeyOf) makes a key.
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    salt: &'a Salt,
}

impl<'a> RequestHead<'a> {
    pub(crate) fn new<B>(request: &'a Request<B>, salt: &'a Salt) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            salt,
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// A value of the request's extensions, which an outer layer has put there.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        self.extensions.get()
    }

    /// The model that the body names; empty if it names none or was not read.
    #[must_use]
    pub fn model(&self) -> &'a str {
        self.extension::<Arc<Call>>()
            .and_then(|call| call.model_call())
            .map_or("", |call| &call.model)
    }

    /// A key from a value that may be a secret: only a salted hash of it is kept.
    #[must_use]
    pub fn hashed(&self, secret: &[u8]) -> Key {
        KeyRef::new(NameRef::Hashed(self.digest(secret)), "").to_key()
    }

    pub(crate) fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    pub(crate) fn digest(&self, secret: &[u8]) -> Digest {
        self.salt.digest(secret)
    }

    /// The caller's API key: of `Authorization` (its `Bearer` token, or all of it), `x-api-key` or
    /// `api-key`.
    pub(crate) fn api_key(&self) -> Option<&'a [u8]> {
        self.headers
            .get(header::AUTHORIZATION)
            .map(|value| token(value.as_bytes()))
            .or_else(|| {
                let value = API_KEY_HEADERS
                    .iter()
                    .find_map(|name| self.headers.get(name))?;
                Some(value.as_bytes().trim_ascii())
            })
            .filter(|key| !key.is_empty())
    }
}

/// The token of `Bearer <token>`; the whole value for any other scheme, which identifies the caller
/// as well.
fn token(value: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer";
    let value = value.trim_ascii();
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case(SCHEME)
                && token.first().is_none_or(u8::is_ascii_whitespace) =>
        {
            token.trim_ascii()
        }
        _ => value,
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = &'static [(&'static str, &'static str)];

    #[test]
    fn api_keys_are_found_in_every_usual_header() {
        let rows: &[(Headers, Option<&str>)] = &[
            (&[("authorization", "Bearer sk-1")], Some("sk-1")),
            (&[("authorization", "bearer   sk-1 ")], Some("sk-1")),
            (
                &[("authorization", "Basic dXNlcjpwYXNz")],
                Some("Basic dXNlcjpwYXNz"),
            ),
            (&[("authorization", "bearersk-1")], Some("bearersk-1")),
            (&[("x-api-key", "sk-1")], Some("sk-1")),
            (&[("api-key", " sk-1")], Some("sk-1")),
            (
                &[("x-api-key", "sk-2"), ("authorization", "Bearer sk-1")],
                Some("sk-1"),
            ),
            (&[("authorization", "Bearer ")], None),
            (&[("authorization", "")], None),
            (&[("x-other", "sk-1")], None),
            (&[], None),
        ];
        for (headers, key) in rows {
            let mut request = Request::new(());
            for (name, value) in *headers {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            let salt = Salt::new();
            let head = RequestHead::new(&request, &salt);
            assert_eq!(head.api_key(), key.map(str::as_bytes), "{headers:?}");
        }
    }

    #[test]
    fn debug_shows_neither_query_nor_headers() {
        let request = Request::get("/v1/x?key=secret")
            .header("authorization", "Bearer secret")
            .body(())
            .unwrap();
        let salt = Salt::new();
        let shown = format!("{:?}", RequestHead::new(&request, &salt));
        assert!(
            shown.contains("/v1/x") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
