use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// A caller by its address: one IPv4 address, or one IPv6 network, since a host usually owns a
/// whole IPv6 network and can take a new address for every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    address: IpAddr,
    prefix: u8,
}

impl Peer {
    /// The peer of an address, IPv6 addresses grouped by their first `prefix` bits.
    pub(crate) fn of(address: IpAddr, prefix: u8) -> Self {
        // Canonical: a dual-stack socket reports IPv4 callers as `::ffff:a.b.c.d`, all in one /64.
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Self {
                address,
                prefix: 32,
            },
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                // A shift by 128 is out of range for `<<`: the prefix 0 has an empty mask.
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(prefix))
                    .unwrap_or_default();
                Self {
                    address: Ipv6Addr::from_bits(address.to_bits() & mask).into(),
                    prefix,
                }
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/{}", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str, prefix: u8) -> String {
        Peer::of(address.parse().unwrap(), prefix).to_string()
    }

    #[test]
    fn networks_of_ipv6_and_single_addresses_of_ipv4() {
        assert_eq!(shown("10.1.2.3", 64), "10.1.2.3");
        assert_eq!(shown("10.1.2.3", 8), "10.1.2.3");
        assert_eq!(shown("::ffff:10.1.2.3", 64), "10.1.2.3");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::/64");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 48), "2001:db8:1::/48");
        assert_eq!(
            shown("2001:db8:1:2:3:4:5:6", 200),
            "2001:db8:1:2:3:4:5:6/128"
        );
        assert_eq!(shown("2001:db8:1:2:3:4:5:6", 0), "::/0");
    }
}
