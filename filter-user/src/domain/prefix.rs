//! Ranges of IP addresses in CIDR notation, as in the bypass table.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::ParseIntError;
use std::str::FromStr;

use filter_common::maps::ipv6_words;
use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 prefix: an address whose bits after the first `length` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// The error of a text that is not a [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// The part before the slash is not an address.
    #[error("{0:?} is not an IPv4 or IPv6 address")]
    Address(String),
    /// The part after the slash is not a length.
    #[error("{0:?} is not a prefix length: for IPv4 it is 0 to 32, for IPv6 0 to 128")]
    Length(String),
    /// Bits beyond the length are set: a typing mistake in the address or in the length.
    #[error("{given} has bits beyond its prefix length; {meant} would be the whole range")]
    HostBits {
        /// Text.
        given: String,
        /// Prefix that was probably meant.
        meant: Prefix,
    },
}

impl Prefix {
    /// Returns the prefix of the addresses that share the first `length` bits with `address`; `None` if an address has
    /// fewer bits.
    fn covering(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// Returns whether this is an IPv4 prefix; otherwise it is an IPv6 prefix.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Returns the length in bits.
    pub(crate) const fn length(&self) -> u8 {
        self.length
    }

    /// Returns length and address, in network byte order, as a key of the IPv4 trie; `None` for an IPv6 prefix.
    pub(crate) fn ipv4_key(&self) -> Option<(u32, u32)> {
        match self.address {
            IpAddr::V4(address) => Some((self.length.into(), address.to_bits().to_be())),
            IpAddr::V6(_) => None,
        }
    }

    /// Returns length and address, in network byte order, as a key of the IPv6 trie; `None` for an IPv4 prefix.
    pub(crate) fn ipv6_key(&self) -> Option<(u32, [u64; 2])> {
        match self.address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some((self.length.into(), ipv6_words(address.octets()))),
        }
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    /// Parses `ADDRESS/LENGTH`, or a single address. An IPv4-mapped IPv6 address is an IPv6 address.
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr =
            address.parse().map_err(|AddrParseError { .. }| InvalidPrefix::Address(address.to_owned()))?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => whole,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|ParseIntError { .. }| InvalidPrefix::Length(digits.to_owned()))?
            }
            Some(other) => return Err(InvalidPrefix::Length(other.to_owned())),
        };
        let prefix = Self::covering(address, length).ok_or_else(|| InvalidPrefix::Length(length.to_string()))?;
        if prefix.address == address {
            Ok(prefix)
        } else {
            Err(InvalidPrefix::HostBits { given: text.to_owned(), meant: prefix })
        }
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidPrefix;

    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InvalidPrefix, Prefix};

    #[rstest]
    #[case("198.18.0.0/15", "198.18.0.0/15")]
    #[case("198.18.0.1", "198.18.0.1/32")]
    #[case("0.0.0.0/0", "0.0.0.0/0")]
    #[case("2001:DB8::/32", "2001:db8::/32")]
    #[case("2001:db8::1", "2001:db8::1/128")]
    #[case("::/0", "::/0")]
    fn prefix_is_shown_in_canonical_spelling(#[case] text: &str, #[case] shown: &str) {
        let prefix: Prefix = text.parse().unwrap();
        assert_eq!(prefix.to_string(), shown);
        assert_eq!(shown.parse(), Ok(prefix));
    }

    #[rstest]
    #[case::name("proxy.example.com")]
    #[case::empty("")]
    #[case::no_length("198.18.0.0/")]
    #[case::signed("198.18.0.0/+8")]
    #[case::too_long("198.18.0.0/33")]
    #[case::far_too_long("198.18.0.0/999")]
    #[case::too_long_ipv6("2001:db8::/129")]
    #[case::brackets("[2001:db8::1]")]
    #[case::short_ipv4("198.18/15")]
    fn text_that_is_not_a_prefix_is_an_error(#[case] text: &str) {
        text.parse::<Prefix>().unwrap_err();
    }

    #[test]
    fn error_of_bits_beyond_the_length_shows_the_whole_range() {
        let error = "198.18.1.7/15".parse::<Prefix>().unwrap_err();
        assert!(matches!(error, InvalidPrefix::HostBits { .. }));
        assert!(error.to_string().contains("198.18.0.0/15"), "{error}");
    }

    #[test]
    fn keys_are_in_network_byte_order() {
        let key = |text: &str| text.parse::<Prefix>().unwrap();
        assert_eq!(
            key("198.18.0.0/15").ipv4_key().map(|(length, word)| (length, word.to_ne_bytes())),
            Some((15, [198, 18, 0, 0]))
        );
        let (length, [low, high]) = key("2001:db8::1").ipv6_key().unwrap();
        assert_eq!(length, 128);
        assert_eq!(low.to_ne_bytes(), [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0]);
        assert_eq!(high.to_ne_bytes(), [0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
