//! The destination addresses that this host shields.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidPrefix, Prefix};

/// The destination addresses whose calls can be refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shielded {
    /// All addresses of this host, on whatever interface.
    #[default]
    Local,
    /// All addresses.
    Any,
    /// The addresses in these prefixes.
    Prefixes(BTreeSet<Prefix>),
}

/// One value of `--address`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ShieldedAddress {
    /// The addresses of this host.
    Local,
    /// All addresses.
    Any,
    /// The addresses in a prefix.
    Prefix(Prefix),
}

/// The error of a text that is not a [`ShieldedAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; --address is local (the addresses of this host), any, or prefixes such as 198.18.0.0/15")]
pub struct InvalidShieldedAddress(InvalidPrefix);

/// The error of values of `--address` that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShielded {
    /// There are several values, not all of which are prefixes.
    #[error("--address is either local, or any, or prefixes, and not several of these")]
    Mixed,
    /// There is no value.
    #[error("--address has no value: leave it out for local, the addresses of this host")]
    Empty,
    /// There are too many prefixes.
    #[error("--address has {0} prefixes of one IP version, at most {max} are possible", max = Shielded::MAX_PREFIXES)]
    TooMany(usize),
}

impl Shielded {
    /// Maximum number of prefixes of each IP version.
    pub const MAX_PREFIXES: usize = 1024;
}

impl TryFrom<&[ShieldedAddress]> for Shielded {
    type Error = InvalidShielded;

    fn try_from(values: &[ShieldedAddress]) -> Result<Self, InvalidShielded> {
        match values {
            [] => return Err(InvalidShielded::Empty),
            [ShieldedAddress::Local] => return Ok(Self::Local),
            [ShieldedAddress::Any] => return Ok(Self::Any),
            _ => {}
        }
        let prefix = |value: &ShieldedAddress| match value {
            ShieldedAddress::Prefix(prefix) => Ok(*prefix),
            ShieldedAddress::Local | ShieldedAddress::Any => Err(InvalidShielded::Mixed),
        };
        let prefixes: BTreeSet<Prefix> = values.iter().map(prefix).collect::<Result<_, _>>()?;
        let ipv4 = prefixes.iter().filter(|prefix| prefix.is_ipv4()).count();
        let most = ipv4.max(prefixes.len() - ipv4);
        if most > Self::MAX_PREFIXES { Err(InvalidShielded::TooMany(most)) } else { Ok(Self::Prefixes(prefixes)) }
    }
}

impl FromStr for ShieldedAddress {
    type Err = InvalidShieldedAddress;

    fn from_str(text: &str) -> Result<Self, InvalidShieldedAddress> {
        match text {
            "local" => Ok(Self::Local),
            "any" => Ok(Self::Any),
            prefix => prefix.parse().map(Self::Prefix).map_err(InvalidShieldedAddress),
        }
    }
}

impl TryFrom<String> for ShieldedAddress {
    type Error = InvalidShieldedAddress;

    fn try_from(text: String) -> Result<Self, InvalidShieldedAddress> {
        text.parse()
    }
}

impl From<ShieldedAddress> for String {
    fn from(value: ShieldedAddress) -> Self {
        match value {
            ShieldedAddress::Local => "local".to_owned(),
            ShieldedAddress::Any => "any".to_owned(),
            ShieldedAddress::Prefix(prefix) => prefix.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InvalidShielded, Shielded, ShieldedAddress};

    fn parse(texts: &[&str]) -> Result<Shielded, InvalidShielded> {
        let values: Vec<ShieldedAddress> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Shielded::try_from(&*values)
    }

    #[test]
    fn addresses_are_local_or_any_or_prefixes() {
        assert_eq!(parse(&["local"]), Ok(Shielded::Local));
        assert_eq!(parse(&["any"]), Ok(Shielded::Any));
        let prefixes = ["198.18.0.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()].into();
        assert_eq!(parse(&["198.18.0.1", "2001:db8::/32", "198.18.0.1"]), Ok(Shielded::Prefixes(prefixes)));
    }

    #[rstest]
    #[case::nothing(&[], InvalidShielded::Empty)]
    #[case::local_and_any(&["local", "any"], InvalidShielded::Mixed)]
    #[case::local_twice(&["local", "local"], InvalidShielded::Mixed)]
    #[case::local_and_a_prefix(&["198.18.0.1", "local"], InvalidShielded::Mixed)]
    fn values_that_contradict_each_other_are_an_error(#[case] texts: &[&str], #[case] error: InvalidShielded) {
        assert_eq!(parse(texts), Err(error));
    }

    #[test]
    fn number_of_prefixes_is_limited_for_each_ip_version() {
        let prefixes = |count: usize| -> Vec<ShieldedAddress> {
            (0..count)
                .flat_map(|index| [format!("198.18.{}.{}", index / 256, index % 256), format!("2001:db8::{index:x}")])
                .map(|text| text.parse().unwrap())
                .collect()
        };
        Shielded::try_from(&*prefixes(1024)).unwrap();
        assert_eq!(Shielded::try_from(&*prefixes(1025)), Err(InvalidShielded::TooMany(1025)));
    }

    #[test]
    fn error_of_a_value_names_the_choices() {
        let error = "eth0".parse::<ShieldedAddress>().unwrap_err().to_string();
        for part in ["\"eth0\"", "local", "any", "198.18.0.0/15"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
