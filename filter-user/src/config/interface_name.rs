//! The name of a network interface.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The name of a network interface: 1 to 15 bytes without white space and slashes (`dev_valid_name()` in the kernel).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct InterfaceName(String);

/// The error of a text that is not an [`InterfaceName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a network interface (1 to {max} bytes, no blanks, no slashes); `ip link` lists them",
    max = InterfaceName::MAX_LEN
)]
pub struct InvalidInterfaceName(String);

impl InterfaceName {
    /// Maximum length in bytes: the kernel's `IFNAMSIZ` without the NUL.
    pub const MAX_LEN: usize = 15;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = InvalidInterfaceName;

    fn try_from(name: String) -> Result<Self, InvalidInterfaceName> {
        let is_bad = |byte: u8| byte == b'/' || byte.is_ascii_whitespace() || byte == 0;
        let fits = (1..=Self::MAX_LEN).contains(&name.len()) && !name.bytes().any(is_bad);
        if fits { Ok(Self(name)) } else { Err(InvalidInterfaceName(name)) }
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidInterfaceName;

    fn from_str(name: &str) -> Result<Self, InvalidInterfaceName> {
        name.to_owned().try_into()
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::InterfaceName;

    #[rstest]
    #[case::usual("eth0", true)]
    #[case::vlan("eth1.7", true)]
    #[case::longest("a-name-of-15-by", true)]
    #[case::too_long("a-name-of-16-byt", false)]
    #[case::empty("", false)]
    #[case::slash("eth/0", false)]
    #[case::blank("eth 0", false)]
    fn interface_name_is_short_without_blanks_and_slashes(#[case] name: &str, #[case] valid: bool) {
        let parsed = name.parse::<InterfaceName>();
        assert_eq!(parsed.is_ok(), valid);
        if let Err(error) = parsed {
            assert!(error.to_string().contains("is not the name"), "{error}");
        }
    }
}
