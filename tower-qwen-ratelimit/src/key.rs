//! Which account a call is charged to.

use std::{fmt, hash::BuildHasher};

use http::{Request, header};
use tower_qwen_tokens::Call;

/// One account at a provider: an origin and a model.
///
/// The provider counts per root account and model over all API keys, so the key of a call is not part of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    scheme: Box<str>,
    authority: Box<str>,
    model: Box<str>,
}

/// A [`Key`] whose parts are borrowed, for looking an account up without copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef<'a> {
    scheme: &'a str,
    authority: &'a str,
    model: &'a str,
}

impl Key {
    /// The account of `model` at an origin such as `https://dashscope.aliyuncs.com`.
    #[must_use]
    pub fn new(origin: &str, model: &str) -> Self {
        let (scheme, authority) = origin.split_once("://").unwrap_or(("", origin));
        KeyRef {
            scheme,
            authority,
            model,
        }
        .to_key()
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The host, with its port where one is given.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            scheme: &self.scheme,
            authority: &self.authority,
            model: &self.model,
        }
    }
}

impl<'a> KeyRef<'a> {
    /// The account of a request: its origin (the URI's, else the `Host` header's) and the model its body names.
    pub(crate) fn of<B>(request: &'a Request<B>, call: Option<&'a Call>) -> Self {
        let authority = request
            .uri()
            .authority()
            .map(|authority| {
                let authority = authority.as_str();
                authority
                    .rsplit_once('@')
                    .map_or(authority, |(_, host)| host)
            })
            .or_else(|| {
                let host = request.headers().get(header::HOST)?;
                host.to_str().ok()
            });
        Self {
            scheme: request.uri().scheme_str().unwrap_or_default(),
            authority: authority.unwrap_or_default(),
            model: call
                .and_then(Call::model_call)
                .map_or("", |model_call| &model_call.model),
        }
    }

    pub(crate) fn hash_with(self, hasher: &impl BuildHasher) -> u64 {
        hasher.hash_one((self.scheme, self.authority, self.model))
    }

    pub(crate) fn to_key(self) -> Key {
        Key {
            scheme: self.scheme.into(),
            authority: self.authority.into(),
            model: self.model.into(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Key({}://{} {})",
            self.scheme, self.authority, self.model
        )
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;

    #[test]
    fn an_origin_without_credentials() {
        let request = Request::get("https://user:secret@host:8443/v1/x?key=1")
            .body(())
            .unwrap();
        let key = KeyRef::of(&request, None).to_key();
        assert_eq!(key, Key::new("https://host:8443", ""));
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn a_relative_uri_takes_the_host_header() {
        let request = Request::get("/v1/x")
            .header("host", "here:1")
            .body(())
            .unwrap();
        assert_eq!(KeyRef::of(&request, None).to_key().authority(), "here:1");
        let bare = Request::get("/v1/x").body(()).unwrap();
        assert_eq!(KeyRef::of(&bare, None).to_key().authority(), "");
    }

    #[test]
    fn borrowed_and_owned_hash_alike() {
        let hasher = RandomState::new();
        let key = Key::new("http://a", "m");
        assert_eq!(
            key.as_ref().hash_with(&hasher),
            key.clone().as_ref().hash_with(&hasher)
        );
        assert_ne!(
            key.as_ref().hash_with(&hasher),
            Key::new("http://b", "m").as_ref().hash_with(&hasher)
        );
    }
}
