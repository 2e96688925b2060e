use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};

use super::StoreError;
use crate::fleet::{Outage, Sharing, Terms};

/// How to reach a server, and how a fleet shares what stands there.
///
/// The processes of a fleet agree on the namespace and the way of sharing, and give their accounts the same quotas.
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisOptions {
    pub(super) server: ConnectionInfo,
    pub(super) namespace: String,
    pub(super) linger: Duration,
    terms: Terms,
}

impl RedisOptions {
    /// A server by its address: `redis://[user:password@]host[:port][/database]`, or `unix:///path`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is no such address, or one of a kind that is not supported.
    pub fn new(address: &str) -> Result<Self, StoreError> {
        Ok(Self {
            server: address
                .into_connection_info()
                .map_err(StoreError::address)?,
            namespace: "tower-qwen".to_owned(),
            linger: Duration::from_millis(10),
            terms: Terms {
                sharing: Sharing::default(),
                outage: Outage::default(),
                timeout: Duration::from_millis(500),
                capacity: 65_536,
            },
        })
    }

    /// What the names of all keys begin with. Default: `tower-qwen`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// How processes share an account. Default: [`Sharing::Booking`].
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.terms.sharing = sharing;
        self
    }

    /// What becomes of calls while the server is away. Default: [`Outage::LocalShare`].
    pub fn outage(mut self, outage: Outage) -> Self {
        self.terms.outage = outage;
        self
    }

    /// How long one operation may take; after that the server counts as away. Default: 500 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// How many operations may wait for the driver. More settlements are dropped: the estimates stand. Default: 65,536.
    pub fn queue(mut self, operations: usize) -> Self {
        self.terms.capacity = operations;
        self
    }

    /// How long a settlement may wait for others or for a booking with which it goes along. Default: 10 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let options = RedisOptions::new("redis://localhost").unwrap();
        assert_eq!(options.namespace, "tower-qwen");
        assert_eq!(options.linger, Duration::from_millis(10));
        let terms = options.terms();
        assert_eq!(terms.sharing, Sharing::Booking);
        assert_eq!(terms.outage, Outage::LocalShare);
        assert_eq!(terms.timeout, Duration::from_millis(500));
        assert_eq!(terms.capacity, 65_536);
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
    }
}
