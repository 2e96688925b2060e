use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Extensions, HeaderName};

use super::{Key, KeyRef, NameRef, Peer, RequestHead};

/// Longer paths are replaced by their hash (16 bytes), so that callers cannot fill the memory with
/// long keys. Most paths of the provider's API are shorter and stay readable. Unit: bytes.
const LONGEST_PATH: usize = 64;
/// Model names are cut to this length, for the same reason: the caller writes them. Longer than the
/// provider's own names, so two of its models never share an account. Unit: bytes.
const LONGEST_MODEL: usize = 64;
/// The default of [`KeyOf::ipv6_prefix`]: the network that providers commonly give to one customer.
/// Unit: bits.
const DEFAULT_IPV6_PREFIX: u8 = 64;

/// How callers are identified at a server.
///
/// The first source that a request has names the account. Requests without any of the sources share
/// one account.
///
/// | source | identifies by | shown as |
/// |---|---|---|
/// | [`KeyOf::api_key`] | the API key | a short hash |
/// | [`KeyOf::header`] | the value of a header | a short hash |
/// | [`KeyOf::extension`] | a name that an outer layer, such as auth, has put into the extensions | itself |
/// | [`KeyOf::path`] | the path, without the query | itself |
/// | [`KeyOf::peer`], [`KeyOf::peer_by`] | the peer's address | itself |
/// | [`KeyOf::model`] | the model | itself |
/// | [`KeyOf::by`] | a closure | as it chooses |
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::KeyOf;
///
/// // One account per API key and model; callers without a key are identified by their address.
/// let key_of = KeyOf::api_key().or(KeyOf::peer()).and_model();
/// # let _ = key_of;
/// ```
///
/// With axum, which has its own type for peer addresses (from
/// `into_make_service_with_connect_info`):
///
/// ```
/// # use std::net::SocketAddr;
/// # #[derive(Clone)] struct ConnectInfo<T>(T);
/// use tower_qwen_ratelimit::KeyOf;
///
/// let key_of = KeyOf::peer_by(|head| head.extension::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()));
/// # let _ = key_of;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct KeyOf {
    sources: Vec<Source>,
    with_model: bool,
    prefix: u8,
}

#[derive(Clone)]
enum Source {
    ApiKey,
    Header(HeaderName),
    Extension(fn(&Extensions) -> Option<&str>),
    Path,
    Peer,
    PeerBy(Arc<AddressFn>),
    Model,
    By(Arc<KeyFn>),
}

type AddressFn = dyn Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync;
type KeyFn = dyn Fn(&RequestHead<'_>) -> Option<Key> + Send + Sync;

/// The key of a request. Borrowed unless a closure made it, so that a known caller costs no
/// allocation.
pub(crate) enum Found<'a> {
    Borrowed(KeyRef<'a>),
    Made(Key),
}

impl KeyOf {
    /// By the API key: the `Bearer` token of `Authorization`, else `x-api-key`, else `api-key`.
    ///
    /// The key is not checked here: without an auth layer above, a caller gets a new quota for
    /// every key it invents.
    pub fn api_key() -> Self {
        Self::of(Source::ApiKey)
    }

    /// By the value of a header. The value is hashed, because it may be a secret.
    ///
    /// Use a header that a trusted proxy sets: callers can write anything into the others.
    pub fn header(name: HeaderName) -> Self {
        Self::of(Source::Header(name))
    }

    /// By a value of this type in the request's extensions, which an outer layer has put there. It
    /// must not be a secret.
    pub fn extension<T: AsRef<str> + Send + Sync + 'static>() -> Self {
        Self::of(Source::Extension(|extensions| {
            extensions.get::<T>().map(T::as_ref)
        }))
    }

    /// By the path, without the query.
    pub fn path() -> Self {
        Self::of(Source::Path)
    }

    /// By the peer's address, if the request's extensions hold it as a [`SocketAddr`] or an
    /// [`IpAddr`].
    ///
    /// axum's `ConnectInfo` is neither, so all its peers would share one account. Read it with
    /// [`KeyOf::peer_by`]; axum provides it only for servers made with
    /// `into_make_service_with_connect_info`.
    pub fn peer() -> Self {
        Self::of(Source::Peer)
    }

    /// By the peer's address, as a closure reads it: from axum's `ConnectInfo`, for example
    /// ([example](KeyOf#examples)).
    pub fn peer_by<F>(address: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self::of(Source::PeerBy(Arc::new(address)))
    }

    /// By the model alone: all callers share one account per model.
    pub fn model() -> Self {
        Self::of(Source::Model).and_model()
    }

    /// By a closure. Pass every value that may be a secret through [`RequestHead::hashed`].
    pub fn by<F>(key: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<Key> + Send + Sync + 'static,
    {
        Self::of(Source::By(Arc::new(key)))
    }

    /// Adds sources for requests that have none of the sources so far.
    pub fn or(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self.with_model |= other.with_model;
        self
    }

    /// One account per model for each caller. Default: one for all of them.
    pub fn and_model(mut self) -> Self {
        self.with_model = true;
        self
    }

    /// How many leading bits of an IPv6 address identify one peer. Default: 64. At most 128.
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.prefix = bits.min(128);
        self
    }

    fn of(source: Source) -> Self {
        Self {
            sources: vec![source],
            with_model: false,
            prefix: DEFAULT_IPV6_PREFIX,
        }
    }

    pub(crate) fn find<'a>(&self, head: &RequestHead<'a>) -> Found<'a> {
        let model = if self.with_model {
            let model = head.model();
            &model[..model.floor_char_boundary(LONGEST_MODEL)]
        } else {
            ""
        };
        let found = self.sources.iter().find_map(|source| {
            Some(match source {
                Source::By(key) => {
                    let key = key(head)?;
                    Found::Made(match key.model().is_empty() && !model.is_empty() {
                        true => key.with_model(model),
                        false => key,
                    })
                }
                source => Found::Borrowed(KeyRef::new(self.name(source, head)?, model)),
            })
        });
        found.unwrap_or_else(|| Found::Borrowed(KeyRef::new(NameRef::Anyone, model)))
    }

    fn name<'a>(&self, source: &Source, head: &RequestHead<'a>) -> Option<NameRef<'a>> {
        let peer = |address| NameRef::Peer(Peer::of(address, self.prefix));
        let name = match source {
            Source::ApiKey => NameRef::Hashed(head.digest(head.api_key()?)),
            Source::Header(name) => {
                NameRef::Hashed(head.digest(head.headers().get(name)?.as_bytes()))
            }
            Source::Extension(name) => NameRef::Tenant(name(head.extensions())?),
            Source::Path => match head.uri().path() {
                path if path.len() > LONGEST_PATH => NameRef::Hashed(head.digest(path.as_bytes())),
                path => NameRef::Path(path),
            },
            Source::Peer => peer(
                head.extension::<SocketAddr>()
                    .map(SocketAddr::ip)
                    .or_else(|| head.extension::<IpAddr>().copied())?,
            ),
            Source::PeerBy(address) => peer(address(head)?),
            // `Model` adds nothing but the model, which `find` takes; `By` never comes here.
            Source::Model | Source::By(_) => NameRef::Anyone,
        };
        Some(name)
    }
}

impl Found<'_> {
    pub(crate) fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Self::Borrowed(key) => *key,
            Self::Made(key) => key.as_ref(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey => f.write_str("ApiKey"),
            Self::Header(name) => write!(f, "Header({name})"),
            Self::Extension(_) => f.write_str("Extension"),
            Self::Path => f.write_str("Path"),
            Self::Peer => f.write_str("Peer"),
            Self::PeerBy(_) => f.write_str("PeerBy"),
            Self::Model => f.write_str("Model"),
            Self::By(_) => f.write_str("By"),
        }
    }
}
