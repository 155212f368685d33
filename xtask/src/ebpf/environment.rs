//! The environment of the inner cargo, which an outer cargo starts from a build script or from xtask.
//!
//! The outer cargo passes its compiler, flags and wrappers to its children. They are right for the host and wrong for
//! BPF. `RUSTUP_TOOLCHAIN` would even make rustup run another toolchain than the one that was chosen.

use std::env;
use std::process::Command;

/// Prefixes of variables to keep: settings for registries and the terminal, which apply to the inner cargo too.
const KEPT: [&str; 7] =
    ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_", "CARGO_SOURCE_", "CARGO_TERM_"];

/// Variables that cargo sets for build scripts.
///
/// The inner build scripts watch `HOST`. If it differed between a build script and xtask, each switch between the two
/// would run the inner build scripts again and recompile everything that depends on them.
const SET_FOR_BUILD_SCRIPTS: [&str; 7] = ["HOST", "TARGET", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS", "OUT_DIR"];

/// Removes from `command` the variables that an outer cargo, rustup or clippy has set.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_set_by_outer_cargo) {
            command.env_remove(name);
        }
    }
}

/// Returns whether an outer cargo, rustup or clippy sets the variable `name`, and not the user.
fn is_set_by_outer_cargo(name: &str) -> bool {
    let cargo = name == "CARGO" || name.starts_with("CARGO_") || name == "CLIPPY_ARGS";
    let rustc = name.starts_with("RUSTC") || name.starts_with("RUSTDOC") || name == "RUSTFLAGS";
    let rustup = name == "RUSTUP_TOOLCHAIN";
    let make = matches!(name, "MAKEFLAGS" | "MFLAGS");
    let build_script = SET_FOR_BUILD_SCRIPTS.contains(&name) || name.starts_with("DEP_");
    (cargo || rustc || rustup || make || build_script) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::is_set_by_outer_cargo;

    #[test]
    fn variables_of_cargo_and_rustup_are_removed() {
        for name in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_MAKEFLAGS",
            "RUSTC",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
            "CLIPPY_ARGS",
            "HOST",
        ] {
            assert!(is_set_by_outer_cargo(name), "{name}");
        }
    }

    #[test]
    fn variables_of_the_user_are_kept() {
        for name in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "RUST_BACKTRACE", "RUSTUP_HOME"]
        {
            assert!(!is_set_by_outer_cargo(name), "{name}");
        }
    }
}
