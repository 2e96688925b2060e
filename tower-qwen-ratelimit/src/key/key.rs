use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use http::{Request, header};
use tower_qwen_tokens::{AccountId, Call};

use super::{Digest, Peer};

/// Names one account of a [`Limiter`](crate::Limiter).
///
/// For calls to a provider it is an origin and a model: the provider counts per root account and
/// model over all API keys, so the API key is not part of it. Where a program uses several accounts of
/// one provider, their name is ([`AccountId`], in the request's extensions). At your own server it is the caller
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
/// let second = provider.with_account("second");
/// assert_eq!(second.to_string(), "https://dashscope.aliyuncs.com qwen-plus (second)");
/// let caller = Key::tenant("acme").with_model("qwen-plus");
/// assert_eq!(caller.to_string(), "acme qwen-plus");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    // First, so that keys that differ are told apart by it.
    hash: u64,
    name: Name<Box<str>>,
    model: Box<str>,
    /// The name of the provider's account; empty: none.
    account: Box<str>,
}

/// Hashes all keys of the process. Keyed at random, since callers write models and names.
// One for all limiters: so a key is hashed when it is made, and not at each call.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

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
    hash: u64,
    name: NameRef<'a>,
    model: &'a str,
    /// The name of the provider's account; empty: none.
    account: &'a str,
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
        KeyRef::new(NameRef::Origin { scheme, authority }, model).to_key()
    }

    /// The account of a tenant. The name must not be a secret: it is shown in snapshots and logs.
    ///
    /// Use [`RequestHead::hashed`](crate::RequestHead::hashed) for a value that may be a secret.
    #[must_use]
    pub fn tenant(name: &str) -> Self {
        KeyRef::new(NameRef::Tenant(name), "").to_key()
    }

    /// The same key, for one model only.
    #[must_use]
    pub fn with_model(self, model: &str) -> Self {
        self.as_ref().with_model(model).to_key()
    }

    /// The same key, for the account of the provider with this name ([`AccountId`]). It must not be a
    /// secret. An empty name counts as none.
    #[must_use]
    pub fn with_account(self, name: &str) -> Self {
        self.as_ref().with_account(name).to_key()
    }

    /// The model; empty if the account is for all models.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The name of the provider's account ([`AccountId`]); empty if it has none.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
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
            hash: self.hash,
            name: self.name.map(|text| &**text),
            model: &self.model,
            account: &self.account,
        }
    }
}

// By the text: the hash differs from process to process, as that of no other key does.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.model, &self.account).hash(state);
    }
}

impl<'a> KeyRef<'a> {
    /// It stands beside the table, so its hash is never asked for.
    pub(crate) const OVERFLOW: KeyRef<'static> = KeyRef {
        hash: 0,
        name: NameRef::Overflow,
        model: "",
        account: "",
    };

    pub(crate) fn new(name: NameRef<'a>, model: &'a str) -> Self {
        Self::with_all(name, model, "")
    }

    fn with_all(name: NameRef<'a>, model: &'a str, account: &'a str) -> Self {
        Self {
            hash: hash(name, model, account, &*HASHER),
            name,
            model,
            account,
        }
    }

    /// The same key, for one model only.
    pub(crate) fn with_model(self, model: &'a str) -> Self {
        Self::with_all(self.name, model, self.account)
    }

    /// The same key, for one account of the provider.
    pub(crate) fn with_account(self, account: &'a str) -> Self {
        Self::with_all(self.name, self.model, account)
    }

    pub(crate) fn name(&self) -> NameRef<'a> {
        self.name
    }

    pub(crate) fn model(&self) -> &'a str {
        self.model
    }

    pub(crate) fn account(&self) -> &'a str {
        self.account
    }

    /// Where it stands in a table. Differs from process to process.
    #[inline]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The account of a request: its origin (of the URI, else of the `Host` header), the model that
    /// its body names, and the account of the provider that it names.
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
        let name = NameRef::Origin {
            scheme: request.uri().scheme_str().unwrap_or_default(),
            authority: authority.unwrap_or_default(),
        };
        let model = call
            .and_then(Call::model_call)
            .map_or("", |model_call| &model_call.model);
        let account = request
            .extensions()
            .get::<AccountId>()
            .map_or("", AccountId::as_str);
        Self::with_all(name, model, account)
    }

    /// By a hasher that nobody else uses.
    pub(crate) fn hash_with(&self, hasher: &impl BuildHasher) -> u64 {
        hash(self.name, self.model, self.account, hasher)
    }

    pub(crate) fn to_key(self) -> Key {
        Key {
            hash: self.hash,
            name: self.name.map(|&text| text.into()),
            model: self.model.into(),
            account: self.account.into(),
        }
    }
}

/// A name of ordinary length is hashed in one piece, which takes half the time: every call through a layer pays for it.
fn hash(name: NameRef<'_>, model: &str, account: &str, hasher: &impl BuildHasher) -> u64 {
    let (kind, name_text) = match name {
        NameRef::Origin { scheme, authority } => (scheme, authority),
        // No scheme is like these.
        NameRef::Tenant(name) => ("\0", name),
        NameRef::Path(path) => ("\0\0", path),
        _ => return hasher.hash_one((name, model, account)),
    };
    // Enough for the provider's origins and model names; anything longer takes the slow way.
    let mut text = [0; 128];
    let mut rest = &mut text[..];
    let account_part = (!account.is_empty()).then_some(account);
    for part in [kind, name_text, model].into_iter().chain(account_part) {
        // UTF-8 never holds 0xff, so it separates the parts: no two keys give the same bytes.
        let Some((own, after)) = rest.split_at_mut_checked(part.len() + 1) else {
            return hasher.hash_one((name, model, account));
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
        if !self.model.is_empty() {
            write!(f, " {}", self.model)?;
        }
        match &*self.account {
            "" => Ok(()),
            account => write!(f, " ({account})"),
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
    fn a_request_names_the_account_of_the_provider() {
        let request = Request::get("https://host/v1/x");
        let request = request
            .extension(AccountId::new("second"))
            .body(())
            .unwrap();
        let key = KeyRef::of(&request, None).to_key();
        assert_eq!(key, Key::new("https://host", "").with_account("second"));
        assert_ne!(key, Key::new("https://host", ""));
    }

    #[test]
    fn borrowed_and_owned_keys_are_equal() {
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
            let key = KeyRef::new(name, "m");
            assert_eq!(key.to_key().as_ref(), key);
            assert_eq!(
                key.to_key().with_model("n"),
                KeyRef::new(name, "n").to_key()
            );
            for (other_at, &other) in names.iter().enumerate() {
                let other = KeyRef::new(other, "m");
                assert_eq!(at == other_at, key.to_key() == other.to_key());
                assert_eq!(at == other_at, key.hash() == other.hash());
            }
            assert_ne!(key.to_key(), KeyRef::new(name, "n").to_key());
        }
    }

    #[test]
    fn origins_of_any_length_have_their_own_hash() {
        let hash = |key: &Key| key.as_ref().hash();
        assert_ne!(hash(&Key::new("a://b", "c")), hash(&Key::new("a://bc", "")));
        let (plain, second) = (
            Key::new("a://b", "cd"),
            Key::new("a://b", "c").with_account("d"),
        );
        assert_ne!(hash(&plain), hash(&second));
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
        let second = Key::new("https://h", "m").with_account("second");
        assert_eq!(second.to_string(), "https://h m (second)");
        assert_eq!(second.account(), "second");
        assert!(KeyRef::OVERFLOW.to_key().is_overflow());
        assert!(!Key::tenant("overflow").is_overflow());
    }
}
