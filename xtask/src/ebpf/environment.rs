//! The environment for a second cargo, started from inside a first one.
//!
//! The outer cargo tells its children which compiler, flags and wrappers it uses. They are right for the
//! host and wrong for the kernel's target, and rustup would even run another toolchain than the one asked for.

use std::env;
use std::process::Command;

/// Takes out of `command` what an outer cargo, rustup or clippy has put into the environment.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_outer_cargo) {
            command.env_remove(name);
        }
    }
}

/// Settings by which a person reaches a registry or chooses colours: as good for the inner cargo as for the outer.
const KEPT: [&str; 7] =
    ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_", "CARGO_SOURCE_", "CARGO_TERM_"];

/// What cargo tells a build script. The inner build scripts watch `HOST`, and would run again, and all that
/// depends on them be compiled again, at each turn between a build script and xtask.
const OF_BUILD_SCRIPTS: [&str; 7] = ["HOST", "TARGET", "PROFILE", "OPT_LEVEL", "DEBUG", "NUM_JOBS", "OUT_DIR"];

fn belongs_to_outer_cargo(name: &str) -> bool {
    let of_cargo = name == "CARGO" || name.starts_with("CARGO_") || name == "CLIPPY_ARGS";
    let of_rustc = name.starts_with("RUSTC") || name.starts_with("RUSTDOC") || name == "RUSTFLAGS";
    let of_rustup = name == "RUSTUP_TOOLCHAIN";
    let of_make = matches!(name, "MAKEFLAGS" | "MFLAGS");
    let of_script = OF_BUILD_SCRIPTS.contains(&name) || name.starts_with("DEP_");
    (of_cargo || of_rustc || of_rustup || of_make || of_script) && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::belongs_to_outer_cargo;

    #[test]
    fn what_cargo_and_rustup_tell_their_children_is_taken_out() {
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
            assert!(belongs_to_outer_cargo(name), "{name}");
        }
    }

    #[test]
    fn what_a_person_has_set_up_stays() {
        for name in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "RUST_BACKTRACE", "RUSTUP_HOME"]
        {
            assert!(!belongs_to_outer_cargo(name), "{name}");
        }
    }
}
