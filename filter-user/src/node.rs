//! This host's name among those that share the database.

use std::fs;

/// The host name, as the kernel has it; `localhost` if it has none.
pub fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() || name == "(none)" { "localhost".into() } else { name.into() }
}
