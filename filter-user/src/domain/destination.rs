//! Destinations of calls: an address, with or without a port, as in the list of the scope.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::str::FromStr;

use filter_common::maps::{ScopeDestination, ipv6_words, mapped_ipv4};
use filter_common::net::{is_unicast_ipv4, is_unicast_ipv6};
use filter_reply::parse_decimal;
use serde::{Deserialize, Serialize};

/// An address to which calls come, on one UDP port or on any.
///
/// An IPv4-mapped IPv6 address is the IPv4 address: no packet carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    address: IpAddr,
    /// `None` for any port.
    port: Option<NonZero<u16>>,
}

/// The error of a text that is not a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestination {
    /// There is no address.
    #[error(
        "{0:?} is not an address with or without a port: 198.18.0.2, 198.18.0.2:5060, 2001:db8::2 or \
         [2001:db8::2]:5060"
    )]
    Address(String),
    /// The part after the colon is not a port.
    #[error("{0:?} is not a UDP port: a number from 1 to 65535")]
    Port(String),
    /// No host has the address.
    #[error("{0} is not the address of a host, but unspecified, multicast, reserved or broadcast")]
    NotUnicast(IpAddr),
    /// The address is in 127.0.0.0/8, or is `::1`.
    #[error("{0} is a loopback address: no call to it arrives on a network interface")]
    Loopback(IpAddr),
}

impl Destination {
    /// Creates a destination, if a host can have the address.
    fn new(address: IpAddr, port: Option<NonZero<u16>>) -> Result<Self, InvalidDestination> {
        let address = address.to_canonical();
        let is_unicast = match address {
            IpAddr::V4(address) => is_unicast_ipv4(address.octets()),
            IpAddr::V6(address) => is_unicast_ipv6(address.octets()),
        };
        if address.is_loopback() {
            return Err(InvalidDestination::Loopback(address));
        }
        if !is_unicast {
            return Err(InvalidDestination::NotUnicast(address));
        }
        Ok(Self { address, port })
    }

    /// Returns the key in the kernel's map.
    pub(crate) fn key(&self) -> ScopeDestination {
        let address = match self.address {
            IpAddr::V4(address) => mapped_ipv4(address.octets()),
            IpAddr::V6(address) => ipv6_words(address.octets()),
        };
        let port = self.port.map_or(ScopeDestination::ANY_PORT, |port| port.get().into());
        ScopeDestination { address, port, reserved: 0 }
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    /// Parses `ADDRESS`, `IPV4:PORT` or `[IPV6]:PORT`.
    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let (address, port) =
            if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
                (address.parse::<Ipv6Addr>().map(IpAddr::V6), Some(port))
            } else if let Some((address, port)) = text.split_once(':').filter(|(_, port)| !port.contains(':')) {
                (address.parse::<Ipv4Addr>().map(IpAddr::V4), Some(port))
            } else {
                (text.parse(), None)
            };
        let address = address.map_err(|AddrParseError { .. }| InvalidDestination::Address(text.to_owned()))?;
        let port = match port {
            None => None,
            Some(port) => Some(parse_decimal(port).ok_or_else(|| InvalidDestination::Port(port.to_owned()))?),
        };
        Self::new(address, port)
    }
}

impl TryFrom<String> for Destination {
    type Error = InvalidDestination;

    fn try_from(text: String) -> Result<Self, InvalidDestination> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port.get()).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Destination;

    #[rstest]
    #[case("198.18.0.2", "198.18.0.2")]
    #[case("198.18.0.2:5060", "198.18.0.2:5060")]
    #[case("198.18.0.2:65535", "198.18.0.2:65535")]
    #[case("2001:DB8:0::2", "2001:db8::2")]
    #[case("[2001:DB8::2]:5060", "[2001:db8::2]:5060")]
    #[case::mapped("::ffff:198.18.0.2", "198.18.0.2")]
    #[case::mapped_with_port("[::ffff:198.18.0.2]:5060", "198.18.0.2:5060")]
    #[case::link_local("fe80::1", "fe80::1")]
    #[case::port_that_is_part_of_the_address("2001:db8::2:5060", "2001:db8::2:5060")]
    fn destination_is_shown_in_canonical_spelling(#[case] text: &str, #[case] shown: &str) {
        let destination: Destination = text.parse().unwrap();
        assert_eq!(destination.to_string(), shown);
        assert_eq!(shown.parse(), Ok(destination));
    }

    #[test]
    fn key_has_the_address_in_network_byte_order_and_the_port_in_that_of_the_host() {
        let key = |text: &str| text.parse::<Destination>().unwrap().key();
        let bytes = |text: &str| key(text).address.map(u64::to_ne_bytes).concat();
        assert_eq!(bytes("198.18.0.2"), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 18, 0, 2]);
        assert_eq!(bytes("[2001:db8::2]:5060"), [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!((key("198.18.0.2").port, key("[2001:db8::2]:5060").port), (0, 5060));
    }

    #[rstest]
    #[case::name("proxy.example.com", "is not an address")]
    #[case::name_with_port("proxy.example.com:5060", "is not an address")]
    #[case::empty("", "is not an address")]
    #[case::prefix("198.18.0.0/15", "is not an address")]
    #[case::short_ipv4("198.18:5060", "is not an address")]
    #[case::brackets_without_a_port("[2001:db8::2]", "is not an address")]
    #[case::ipv4_in_brackets("[198.18.0.2]:5060", "is not an address")]
    #[case::zone("[fe80::1%2]:5060", "is not an address")]
    #[case::blank(" 198.18.0.2", "is not an address")]
    #[case::no_port("198.18.0.2:", "is not a UDP port")]
    #[case::port_0("198.18.0.2:0", "is not a UDP port")]
    #[case::port_too_high("[2001:db8::2]:65536", "is not a UDP port")]
    #[case::signed_port("198.18.0.2:+5060", "is not a UDP port")]
    #[case::unspecified("0.0.0.0", "is not the address of a host")]
    #[case::unspecified_ipv6("[::]:5060", "is not the address of a host")]
    #[case::multicast("224.0.1.75:5060", "is not the address of a host")]
    #[case::multicast_ipv6("ff02::1", "is not the address of a host")]
    #[case::broadcast("255.255.255.255", "is not the address of a host")]
    #[case::loopback("127.0.0.1:5060", "is a loopback address")]
    #[case::loopback_ipv6("::1", "is a loopback address")]
    #[case::loopback_mapped("::ffff:127.0.0.1", "is a loopback address")]
    fn text_that_is_not_a_destination_is_an_error(#[case] text: &str, #[case] reason: &str) {
        let error = text.parse::<Destination>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
