//! Wrong keys are slowed down: who tries one after the other is answered late, and soon no more.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many wrong keys of one address are looked at, one right after the other.
const AT_ONCE: u32 = 10;
/// After how long one more is.
const INTERVAL: Duration = Duration::from_secs(6);
/// How long the answer to a wrong key waits.
pub(crate) const DELAY: Duration = Duration::from_millis(500);
/// Of how many addresses the tries are known; all beyond them are counted as one.
const MAX_ADDRESSES: usize = 4_096;

/// Where a request comes from. In its extensions where it came by a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The wrong keys of late, by address.
#[derive(Debug, Default)]
pub struct Tries(Mutex<HashMap<Option<IpAddr>, Instant>>);

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// It is the key.
    Right,
    /// It is not.
    Wrong,
    /// Nobody has looked: so long it has to wait.
    TooMany(Duration),
}

impl Tries {
    /// A try from this address, unless it has had too many wrong ones.
    pub fn attempt(&self, from: Option<Peer>, is_right: impl FnOnce() -> bool) -> Try {
        let now = Instant::now();
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = from.map(|Peer(address)| network(address));
        if !tries.contains_key(&from) && tries.len() >= MAX_ADDRESSES {
            tries.retain(|_, forgotten| *forgotten > now);
            if tries.len() >= MAX_ADDRESSES {
                from = None;
            }
        }
        // When all of its tries are forgotten.
        let forgotten = tries.get(&from).copied().unwrap_or(now).max(now);
        let most = INTERVAL * (AT_ONCE - 1);
        let wait = (forgotten - now).saturating_sub(most);
        if !wait.is_zero() {
            return Try::TooMany(wait);
        }
        if is_right() {
            return Try::Right;
        }
        tries.insert(from, forgotten + INTERVAL);
        Try::Wrong
    }
}

/// Whoever has one address of IPv6 has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            Ipv6Addr::from_bits(prefix).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(text: &str) -> Option<Peer> {
        Some(Peer(text.parse().expect("an address")))
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_wrong_keys_of_one_address_are_looked_at() {
        let tries = Tries::default();
        let wrong = |from: &str| tries.attempt(peer(from), || false);
        for _ in 0..AT_ONCE {
            assert_eq!(wrong("10.0.0.1"), Try::Wrong);
            // The others of its network are the same.
            assert_eq!(wrong("2001:db8::1"), Try::Wrong);
        }
        let right = tries.attempt(peer("10.0.0.1"), || panic!("nobody looks"));
        assert_eq!(right, Try::TooMany(INTERVAL));
        assert_eq!(wrong("::ffff:10.0.0.1"), Try::TooMany(INTERVAL));
        assert_eq!(wrong("2001:db8::2"), Try::TooMany(INTERVAL));
        assert_eq!(wrong("2001:db8:0:1::1"), Try::Wrong);
        assert_eq!(wrong("10.0.0.2"), Try::Wrong);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(wrong("10.0.0.1"), Try::Wrong);
        assert_eq!(wrong("10.0.0.1"), Try::TooMany(INTERVAL));
        tokio::time::advance(INTERVAL).await;
        assert_eq!(tries.attempt(peer("10.0.0.1"), || true), Try::Right);
        assert_eq!(wrong("10.0.0.1"), Try::Wrong);
    }

    #[tokio::test(start_paused = true)]
    async fn of_so_many_addresses_the_tries_are_known() {
        let tries = Tries::default();
        let known = |tries: &Tries| tries.0.lock().expect("whole").len();
        let wrong = |number: u32| {
            let from = Some(Peer(Ipv4Addr::from_bits(number).into()));
            tries.attempt(from, || false)
        };
        for number in 0..2 * MAX_ADDRESSES as u32 {
            wrong(number);
        }
        assert_eq!(known(&tries), MAX_ADDRESSES + 1);
        assert!(matches!(wrong(1 << 20), Try::TooMany(_)));
        assert_eq!(wrong(1), Try::Wrong);
        tokio::time::advance(2 * INTERVAL).await;
        assert_eq!(wrong(1 << 20), Try::Wrong);
        assert!(known(&tries) <= 2);
    }
}
