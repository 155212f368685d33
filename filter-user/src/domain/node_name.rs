//! The name of a host among those that share a database.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a host among those that share the database: 1 to 58 printable ASCII characters, no blank, no `@`.
///
/// The row `maint@NAME` is the host's own. Kamailio before 6.0 has 64 characters for a key, six of which are `maint@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// The error of a text that is not a [`NodeName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a host: 1 to {most} printable ASCII characters, no blank, no @", most = NodeName::MAX)]
pub struct InvalidNodeName(String);

impl NodeName {
    /// Maximum length in characters.
    pub const MAX: usize = 58;

    /// Creates a name from a host name, with `-` in place of characters that the key of a row cannot have.
    ///
    /// Returns `localhost` if the host has no name, which the kernel reports as `(none)`.
    pub fn from_host_name(name: &str) -> Self {
        let is_allowed = |character: char| character.is_ascii_graphic() && character != '@';
        let replace = |character| if is_allowed(character) { character } else { '-' };
        let name: String = name.trim().chars().take(Self::MAX).map(replace).collect();
        if name.is_empty() || name == "(none)" { Self("localhost".into()) } else { Self(name) }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(name: &str) -> Result<Self, InvalidNodeName> {
        let fits =
            (1..=Self::MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if fits { Ok(Self(name.into())) } else { Err(InvalidNodeName(name.into())) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidNodeName;

    fn try_from(name: String) -> Result<Self, InvalidNodeName> {
        name.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::NodeName;

    #[rstest]
    #[case::short("a", true)]
    #[case::with_domain("sbc1.example.com", true)]
    #[case::longest(&"n".repeat(58), true)]
    #[case::too_long(&"n".repeat(59), false)]
    #[case::empty("", false)]
    #[case::blank("sbc 1", false)]
    #[case::at("sbc@1", false)]
    #[case::not_ascii("sbcä", false)]
    fn node_name_is_short_and_printable_without_blank_and_at_sign(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(name.parse::<NodeName>().is_ok(), valid);
    }

    #[rstest]
    #[case::plain("sbc1\n", "sbc1")]
    #[case::none("(none)\n", "localhost")]
    #[case::empty("", "localhost")]
    #[case::odd("sbc 1@ä", "sbc-1--")]
    #[case::long(&"n".repeat(64), &"n".repeat(58))]
    fn host_name_becomes_a_valid_node_name(#[case] host: &str, #[case] node: &str) {
        assert_eq!(NodeName::from_host_name(host).as_str(), node);
    }
}
