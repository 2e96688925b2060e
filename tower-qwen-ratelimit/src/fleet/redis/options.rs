use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};

#[cfg(feature = "redis-tls")]
use super::tls::Tls;
use super::{StoreError, names::without_braces};
use crate::{
    fleet::Terms,
    key::FleetSalt,
    sharing::{OutagePolicy, Sharing},
};

/// How to reach a server, and how a fleet shares its accounts there.
///
/// The processes of a fleet agree on the namespace and the way of sharing, and give their accounts
/// the same quotas. One that comes with another window than an account has, or shares it in another
/// way, is rejected there ([`LimiterEvent::StoreRejected`](crate::LimiterEvent::StoreRejected)):
/// for this account the store counts as away, and what its calls cost is not reported. Each
/// heartbeat asks again.
#[derive(Clone)]
#[must_use]
pub struct RedisOptions {
    pub(super) server: ConnectionInfo,
    #[cfg(feature = "redis-tls")]
    pub(super) tls: Option<Tls>,
    pub(super) namespace: String,
    pub(super) linger: Duration,
    pub(super) is_cluster: bool,
    terms: Terms,
    secret: Box<[u8]>,
}

impl RedisOptions {
    /// A server by its address: `redis://[user:password@]host[:port][/database]`, or
    /// `unix:///path`. With the feature `redis-tls` also `rediss://..`, over TLS; then the public
    /// authorities are trusted unless `RedisOptions::authorities` says otherwise.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is no such address, or one of a kind that is not supported.
    pub fn new(address: &str) -> Result<Self, StoreError> {
        let plain = address
            .strip_prefix("rediss:")
            .or_else(|| address.strip_prefix("valkeys:"))
            .map(|rest| format!("redis:{rest}"));
        if plain.is_some() && !cfg!(feature = "redis-tls") {
            return Err(StoreError::unsupported(
                "TLS without the feature `redis-tls`",
            ));
        }
        Ok(Self {
            server: plain
                .as_deref()
                .unwrap_or(address)
                .into_connection_info()
                .map_err(StoreError::address)?,
            #[cfg(feature = "redis-tls")]
            tls: plain.is_some().then(Tls::default),
            namespace: "tower-qwen".to_owned(),
            linger: Duration::from_millis(50),
            is_cluster: false,
            terms: Terms {
                sharing: Sharing::default(),
                outage: OutagePolicy::default(),
                timeout: Duration::from_millis(500),
                capacity: 65_536,
                processes: 8,
                // Set when it connects.
                salt: FleetSalt::new("", b""),
            },
            secret: Box::default(),
        })
    }

    /// What the names of all keys begin with. Default: `tower-qwen`. Braces, by which a cluster
    /// finds the slot of a key, are written `%7B` and `%7D`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = without_braces(namespace);
        self
    }

    /// The server is a node of a cluster; it names the others, by any of which the cluster is found
    /// again. An account lies in one slot, hence at one node. Without one of the nodes, or while a
    /// slot moves, the whole store is away. Default: it is alone.
    pub fn cluster(mut self) -> Self {
        self.is_cluster = true;
        self
    }

    /// How processes share an account. Default: [`Sharing::Booking`].
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.terms.sharing = sharing;
        self
    }

    /// What becomes of calls while the server is away. Default: [`OutagePolicy::LocalShare`].
    pub fn outage(mut self, outage: OutagePolicy) -> Self {
        self.terms.outage = outage;
        self
    }

    /// How many processes are taken to share the accounts as long as the server has answered none of this
    /// process's heartbeats: with [`OutagePolicy::LocalShare`] it then goes on with that part of the
    /// quota. Default: 8. At least 1.
    // Not 1: processes that start while the server refuses all work took the whole quota each.
    pub fn processes(mut self, processes: u64) -> Self {
        self.terms.processes = processes.max(1);
        self
    }

    /// How long one operation may take, connecting to a server too; after that the server counts as
    /// away. Default: 500 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// How many operations may wait for the driver. More settlements are dropped: the estimates
    /// stand. Default: 65,536.
    pub fn queue(mut self, operations: usize) -> Self {
        self.terms.capacity = operations;
        self
    }

    /// How long a settlement may wait for others or for a booking with which it goes along.
    /// Default: 50 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Trusts these authorities (certificates, PEM) in place of the public ones. Default: the
    /// public ones.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: they are no certificates.
    #[cfg(feature = "redis-tls")]
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self, StoreError> {
        self.tls.get_or_insert_default().trust(pem)?;
        Ok(self)
    }

    /// Shows this certificate (the chain and its key, PEM) to servers that ask for one. Default:
    /// none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: they are no certificate, or no key.
    #[cfg(feature = "redis-tls")]
    pub fn identity(mut self, chain: &[u8], key: &[u8]) -> Result<Self, StoreError> {
        self.tls.get_or_insert_default().identify(chain, key)?;
        Ok(self)
    }

    /// What the digests of callers' API keys are made with, beside the namespace: a secret that all
    /// processes of the fleet have. The server knows callers without a name
    /// ([`KeyOf::api_key`](crate::KeyOf::api_key)) by a digest of 128 bits, which nobody can make from a guessed key
    /// without this. Default: none, which is enough for keys that nobody can guess.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = secret.as_ref().into();
        self
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            salt: FleetSalt::new(&self.namespace, &self.secret),
            ..self.terms
        }
    }
}

// Without the address, which may hold a password.
opaque_debug!(RedisOptions { namespace, linger, terms }, impl std::fmt::Debug for RedisOptions);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let options = RedisOptions::new("redis://localhost").unwrap();
        assert_eq!(options.namespace, "tower-qwen");
        assert!(!options.is_cluster);
        assert_eq!(options.linger, Duration::from_millis(50));
        let terms = options.terms();
        assert_eq!(terms.sharing, Sharing::Booking);
        assert_eq!(terms.outage, OutagePolicy::LocalShare);
        assert_eq!(terms.timeout, Duration::from_millis(500));
        assert_eq!(terms.capacity, 65_536);
        assert_eq!(terms.processes, 8);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for address in ["", "http://h", "localhost:6379", "redis://u:secret@[::1"] {
            let error = RedisOptions::new(address).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("secret"),
                "{error:?}"
            );
        }
        let options = RedisOptions::new("redis://u:secret@h").unwrap();
        assert!(!format!("{options:?}").contains("secret"));
    }
}
