//! Which account a call is charged to.

mod digest;
mod key_of;
mod peer;
mod request_head;

use std::{
    fmt,
    hash::{BuildHasher, Hasher},
};

use http::{Request, header};
use tower_qwen_tokens::Call;

pub use key_of::KeyOf;
pub use request_head::RequestHead;

pub(crate) use digest::{Digest, Salt};
pub(crate) use peer::Peer;

/// One account.
///
/// At a provider it is an origin and a model: the provider counts per root account and model over all API keys, so the
/// key of a call is not part of it. At a server of one's own it is whoever calls ([`KeyOf`]), and the model where wanted.
///
/// Secrets are never part of it: what may be one stands as a salted hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: Name,
    model: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Origin {
        scheme: Box<str>,
        authority: Box<str>,
    },
    Tenant(Box<str>),
    Path(Box<str>),
    Peer(Peer),
    Hashed(Digest),
    Anyone,
    Overflow,
}

/// A [`Key`] whose parts are borrowed, for looking an account up without copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRef<'a> {
    pub(crate) name: NameRef<'a>,
    pub(crate) model: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NameRef<'a> {
    Origin {
        scheme: &'a str,
        authority: &'a str,
    },
    /// As the application calls it.
    Tenant(&'a str),
    Path(&'a str),
    Peer(Peer),
    /// What may be a secret.
    Hashed(Digest),
    /// Whoever says nothing of himself.
    Anyone,
    /// Those for whom there was no room.
    Overflow,
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

    /// The account of a tenant, by a name that is no secret: it is shown in snapshots and logs.
    ///
    /// For what may be a secret there is [`RequestHead::hashed`].
    #[must_use]
    pub fn tenant(name: &str) -> Self {
        KeyRef {
            name: NameRef::Tenant(name),
            model: "",
        }
        .to_key()
    }

    /// The same, for one model alone.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        self.model = model.into();
        self
    }

    /// The model; empty where the account is for all of them.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The host, with its port where one is given; empty where the account is not a provider's.
    #[must_use]
    pub fn authority(&self) -> &str {
        match &self.name {
            Name::Origin { authority, .. } => authority,
            _ => "",
        }
    }

    /// Whether this is the account that new keys share once there is no room for accounts of their own.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.name == Name::Overflow
    }

    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        let name = match &self.name {
            Name::Origin { scheme, authority } => NameRef::Origin { scheme, authority },
            Name::Tenant(name) => NameRef::Tenant(name),
            Name::Path(path) => NameRef::Path(path),
            Name::Peer(peer) => NameRef::Peer(*peer),
            Name::Hashed(digest) => NameRef::Hashed(*digest),
            Name::Anyone => NameRef::Anyone,
            Name::Overflow => NameRef::Overflow,
        };
        KeyRef {
            name,
            model: &self.model,
        }
    }
}

impl<'a> KeyRef<'a> {
    pub(crate) const OVERFLOW: KeyRef<'static> = KeyRef {
        name: NameRef::Overflow,
        model: "",
    };

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
            name: NameRef::Origin {
                scheme: request.uri().scheme_str().unwrap_or_default(),
                authority: authority.unwrap_or_default(),
            },
            model: call
                .and_then(Call::model_call)
                .map_or("", |model_call| &model_call.model),
        }
    }

    /// An origin of ordinary length is hashed in one piece, which takes half the time.
    pub(crate) fn hash_with(self, hasher: &impl BuildHasher) -> u64 {
        let NameRef::Origin { scheme, authority } = self.name else {
            return hasher.hash_one((self.name, self.model));
        };
        let mut text = [0; 128];
        let mut rest = &mut text[..];
        for part in [scheme, authority, self.model] {
            // 0xff is in no string, so that no two keys are written alike.
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
        let name = match self.name {
            NameRef::Origin { scheme, authority } => Name::Origin {
                scheme: scheme.into(),
                authority: authority.into(),
            },
            NameRef::Tenant(name) => Name::Tenant(name.into()),
            NameRef::Path(path) => Name::Path(path.into()),
            NameRef::Peer(peer) => Name::Peer(peer),
            NameRef::Hashed(digest) => Name::Hashed(digest),
            NameRef::Anyone => Name::Anyone,
            NameRef::Overflow => Name::Overflow,
        };
        Key {
            name,
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
    fn borrowed_and_owned_are_alike() {
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
    fn origins_of_any_length_are_told_apart() {
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
    fn shown_in_words() {
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
