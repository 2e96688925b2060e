use std::{
    fmt,
    hash::{BuildHasher, Hasher},
};

use http::{Request, header};
use tower_qwen_tokens::Call;

use super::{Digest, Peer};

/// Names one account of a [`Limiter`](crate::Limiter).
///
/// For calls to a provider it is an origin and a model: the provider counts per root account and
/// model over all API keys, so the API key is not part of it. At your own server it is the caller
/// ([`KeyOf`](crate::KeyOf)), and the model if you want.
///
/// A key never holds a secret. A value that may be one is replaced by a salted hash.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::Key;
///
/// let provider = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
/// assert_eq!(provider.to_string(), "https://dashscope.aliyuncs.com qwen-plus");
/// let caller = Key::tenant("acme").with_model("qwen-plus");
/// assert_eq!(caller.to_string(), "acme qwen-plus");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: Name<Box<str>>,
    pub(super) model: Box<str>,
}

/// The name in a key: of its own, or borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Name<T> {
    Origin {
        scheme: T,
        authority: T,
    },
    /// A name that the application has given.
    Tenant(T),
    Path(T),
    Peer(Peer),
    /// A value that may be a secret.
    Hashed(Digest),
    /// Callers that no source names.
    Anyone,
    /// Keys above `max_keys`.
    Overflow,
}

pub(crate) type NameRef<'a> = Name<&'a str>;

/// A [`Key`] whose parts are borrowed, for looking an account up without copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef<'a> {
    pub(crate) name: NameRef<'a>,
    pub(crate) model: &'a str,
}

impl<T> Name<T> {
    fn map<'a, U>(&'a self, text: impl Fn(&'a T) -> U) -> Name<U> {
        match self {
            Self::Origin { scheme, authority } => Name::Origin {
                scheme: text(scheme),
                authority: text(authority),
            },
            Self::Tenant(name) => Name::Tenant(text(name)),
            Self::Path(path) => Name::Path(text(path)),
            Self::Peer(peer) => Name::Peer(*peer),
            Self::Hashed(digest) => Name::Hashed(*digest),
            Self::Anyone => Name::Anyone,
            Self::Overflow => Name::Overflow,
        }
    }
}

impl Key {
    /// The account of `model` at an origin such as `https://dashscope.aliyuncs.com`.
    #[must_use]
    pub fn new(origin: &str, model: &str) -> Self {
        let (scheme, authority) = origin.split_once("://").unwrap_or(("", origin));
        KeyRef {
            name: NameRef::Origin { scheme, authority },
            model,
        }
        .to_key()
    }

    /// The account of a tenant. The name must not be a secret: it is shown in snapshots and logs.
    ///
    /// Use [`RequestHead::hashed`](crate::RequestHead::hashed) for a value that may be a secret.
    #[must_use]
    pub fn tenant(name: &str) -> Self {
        KeyRef {
            name: NameRef::Tenant(name),
            model: "",
        }
        .to_key()
    }

    /// The same key, for one model only.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        self.model = model.into();
        self
    }

    /// The model; empty if the account is for all models.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The host, with its port if one is given; empty if the account is not a provider's.
    #[must_use]
    pub fn authority(&self) -> &str {
        match &self.name {
            Name::Origin { authority, .. } => authority,
            _ => "",
        }
    }

    /// Whether this is the account that the keys above
    /// [`max_keys`](crate::LimiterBuilder::max_keys) share.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.name == Name::Overflow
    }

    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            name: self.name.map(|text| &**text),
            model: &self.model,
        }
    }
}

impl<'a> KeyRef<'a> {
    pub(crate) const OVERFLOW: KeyRef<'static> = KeyRef {
        name: NameRef::Overflow,
        model: "",
    };

    /// The account of a request: its origin (of the URI, else of the `Host` header) and the model
    /// that its body names.
    pub(crate) fn of<B>(request: &'a Request<B>, call: Option<&'a Call>) -> Self {
        let authority = request
            .uri()
            .authority()
            .map(|authority| {
                // Without `user:password@`: keys are shown in logs.
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
            name: NameRef::Origin {
                scheme: request.uri().scheme_str().unwrap_or_default(),
                authority: authority.unwrap_or_default(),
            },
            model: call
                .and_then(Call::model_call)
                .map_or("", |model_call| &model_call.model),
        }
    }

    /// Hashes an origin of ordinary length in one piece, which takes half the time: every call of a
    /// client pays for it.
    pub(crate) fn hash_with(self, hasher: &impl BuildHasher) -> u64 {
        let NameRef::Origin { scheme, authority } = self.name else {
            return hasher.hash_one((self.name, self.model));
        };
        // Enough for the provider's origins and model names; anything longer takes the slow way.
        let mut text = [0; 128];
        let mut rest = &mut text[..];
        for part in [scheme, authority, self.model] {
            // UTF-8 never holds 0xff, so it separates the parts: no two keys give the same bytes.
            let Some((own, after)) = rest.split_at_mut_checked(part.len() + 1) else {
                return hasher.hash_one((self.name, self.model));
            };
            own[..part.len()].copy_from_slice(part.as_bytes());
            own[part.len()] = 0xff;
            rest = after;
        }
        let unused = rest.len();
        let mut state = hasher.build_hasher();
        state.write(&text[..text.len() - unused]);
        state.finish()
    }

    pub(crate) fn to_key(self) -> Key {
        Key {
            name: self.name.map(|&text| text.into()),
            model: self.model.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Origin { scheme, authority } => write!(f, "{scheme}://{authority}")?,
            Name::Tenant(name) | Name::Path(name) => f.write_str(name)?,
            Name::Peer(peer) => write!(f, "{peer}")?,
            Name::Hashed(digest) => write!(f, "{digest}")?,
            Name::Anyone => f.write_str("anyone")?,
            Name::Overflow => f.write_str("overflow")?,
        }
        match &*self.model {
            "" => Ok(()),
            model => write!(f, " {model}"),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;
    use crate::key::Salt;

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
    fn borrowed_and_owned_keys_are_equal() {
        let hasher = RandomState::new();
        let salt = Salt::new();
        let names = [
            NameRef::Origin {
                scheme: "http",
                authority: "a",
            },
            NameRef::Tenant("a"),
            NameRef::Path("a"),
            NameRef::Peer(Peer::of("1.2.3.4".parse().unwrap(), 64)),
            NameRef::Hashed(salt.digest(b"a")),
            NameRef::Anyone,
            NameRef::Overflow,
        ];
        for (at, &name) in names.iter().enumerate() {
            let key = KeyRef { name, model: "m" };
            assert_eq!(key.to_key().as_ref(), key);
            for (other_at, &other) in names.iter().enumerate() {
                let other = KeyRef {
                    name: other,
                    model: "m",
                };
                assert_eq!(at == other_at, key.to_key() == other.to_key());
                assert_eq!(
                    at == other_at,
                    key.hash_with(&hasher) == other.hash_with(&hasher)
                );
            }
            assert_ne!(key.to_key(), KeyRef { name, model: "n" }.to_key());
        }
    }

    #[test]
    fn origins_of_any_length_have_their_own_hash() {
        let hasher = RandomState::new();
        let hash = |key: &Key| key.as_ref().hash_with(&hasher);
        assert_ne!(hash(&Key::new("a://b", "c")), hash(&Key::new("a://bc", "")));
        let mut seen = std::collections::HashSet::new();
        for len in 0..300 {
            let key = Key::new("https://host", &"m".repeat(len));
            assert!(seen.insert(hash(&key)), "{len}");
            assert_eq!(hash(&key), hash(&key.clone()));
        }
    }

    #[test]
    fn keys_are_shown_in_words() {
        assert_eq!(
            Key::new("https://h", "m").to_string(),
            "https://h m".to_owned()
        );
        assert_eq!(format!("{:?}", Key::tenant("acme")), "Key(acme)");
        assert_eq!(
            Key::tenant("acme").with_model("qwen-plus").to_string(),
            "acme qwen-plus"
        );
        assert!(KeyRef::OVERFLOW.to_key().is_overflow());
        assert!(!Key::tenant("overflow").is_overflow());
    }
}
