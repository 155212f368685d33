//! This host's name among those that share the database, where none is given.

use std::fs;

use crate::store::NodeName;

/// The host name, as the kernel has it, cut and changed where it could not stand in a row's key; `localhost` if it has none.
pub fn name() -> NodeName {
    from_host(&fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}

fn from_host(name: &str) -> NodeName {
    let fit = |character: char| if character.is_ascii_graphic() && character != '@' { character } else { '-' };
    let name: String = name.trim().chars().take(NodeName::MAX).map(fit).collect();
    let name = if name.is_empty() || name == "(none)" { None } else { name.parse().ok() };
    name.unwrap_or_else(NodeName::localhost)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::from_host;

    #[rstest]
    #[case::plain("sbc1\n", "sbc1")]
    #[case::none("(none)\n", "localhost")]
    #[case::empty("", "localhost")]
    #[case::odd("sbc 1@ä", "sbc-1--")]
    #[case::long(&"n".repeat(64), &"n".repeat(58))]
    fn a_host_name_becomes_a_node(#[case] host: &str, #[case] node: &str) {
        assert_eq!(from_host(host).as_str(), node);
    }
}
