//! The cargo command that builds or lints an object with XDP programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::Toolchain;

/// The BPF target of little-endian kernels. All architectures with AF_XDP drivers are little-endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// An object file with XDP programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    /// Package in the workspace.
    pub(crate) package: &'static str,
    /// Folder of the package, relative to the workspace's root.
    pub(crate) folder: &'static str,
    /// Binary of the package.
    pub(crate) binary: &'static str,
}

/// The XDP program of sip-filter.
pub(crate) const SIP_FILTER: Object = Object { package: "filter-ebpf", folder: "filter-ebpf", binary: "sip_filter" };
/// The XDP programs of the benchmarks.
pub(crate) const BENCH: Object = Object { package: "filter-bench-ebpf", folder: "bench/ebpf", binary: "filter_bench" };

/// Target feature that makes an unaligned read one load instead of a load per byte. The JITs of x86-64 and arm64 accept
/// such a load.
const MISALIGNED: &str = "allows-misaligned-mem-access";

/// The build of an object.
pub(crate) struct Program<'a> {
    /// Object to build.
    pub(crate) object: Object,
    /// Compiler.
    pub(crate) toolchain: &'a Toolchain,
    /// Path of bpf-linker.
    pub(crate) linker: &'a Path,
    /// Root of the workspace.
    pub(crate) workspace: &'a Path,
    /// Target folder, other than that of the outer cargo: the outer cargo holds a lock on its own, for which the inner
    /// cargo would wait forever.
    pub(crate) target_dir: &'a Path,
    /// Architecture of the host, on which the layout of `pt_regs` and similar structures depends.
    pub(crate) arch: &'a str,
}

impl Program<'_> {
    /// Returns the command that builds the object and prints warnings and errors only.
    pub(crate) fn build(&self) -> Command {
        let mut command = self.toolchain.cargo();
        command.args(["build", "--quiet"]);
        self.add_arguments(&mut command);
        command
    }

    /// Returns the command that lints the package, with warnings as errors; `None` if the toolchain has no clippy.
    pub(crate) fn clippy(&self) -> Option<Command> {
        let mut command = self.toolchain.clippy()?;
        self.add_arguments(&mut command);
        command.args(["--", "-D", "warnings"]);
        Some(command)
    }

    /// Returns the path of the object after [`Self::build`].
    pub(crate) fn path(&self) -> PathBuf {
        self.target_dir.join(TARGET).join("release").join(self.object.binary)
    }

    fn add_arguments(&self, command: &mut Command) {
        command
            .current_dir(self.workspace)
            .args(["--package", self.object.package, "--bins", "--release", "--target", TARGET, "-Zbuild-std=core"])
            .arg("--target-dir")
            .arg(self.target_dir)
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags());
    }

    /// Returns the compiler flags in cargo's own encoding, because `RUSTFLAGS` does not preserve the quotes of a cfg.
    fn rustflags(&self) -> String {
        let mut flags = vec![
            format!("--cfg=bpf_target_arch=\"{}\"", self.arch),
            // The linker derives BTF from the debug information. The kernel and bpftool read the maps' types from it.
            "-Cdebuginfo=2".to_owned(),
            "-Clink-arg=--btf".to_owned(),
        ];
        if self.allows_misaligned() {
            // Passed to the linker, which generates the code. `-Ctarget-feature` would print a warning at each build.
            flags.push(format!("-Clink-arg=--cpu-features=+{MISALIGNED}"));
        }
        flags.join("\x1f")
    }

    /// Returns whether the host accepts unaligned loads and the compiler knows the feature.
    fn allows_misaligned(&self) -> bool {
        let accepted = matches!(self.arch, "x86_64" | "aarch64");
        let known = || {
            let output = self.toolchain.rustc().args(["--print", "target-features", "--target", TARGET]).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(MISALIGNED))
        };
        accepted && known()
    }
}
