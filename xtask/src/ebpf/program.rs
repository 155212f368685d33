//! The call to cargo that builds or lints an object with XDP programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::Toolchain;

/// The kernel's target. Every architecture with AF_XDP drivers is little-endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// An object that is built for the kernel's target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    /// The package in the workspace; its folder is [`Self::folder`].
    pub(crate) package: &'static str,
    /// The folder of the package, from the workspace's root.
    pub(crate) folder: &'static str,
    /// The name of its binary.
    pub(crate) binary: &'static str,
}

/// The XDP program of the product.
pub(crate) const SIP_FILTER: Object = Object { package: "filter-ebpf", folder: "filter-ebpf", binary: "sip_filter" };
/// The programs of the benchmarks.
pub(crate) const BENCH: Object = Object { package: "filter-bench-ebpf", folder: "bench/ebpf", binary: "filter_bench" };

/// An unaligned read is one load where the kernel's JIT allows it (x86-64, arm64), else a load a byte.
const MISALIGNED: &str = "allows-misaligned-mem-access";

/// How an object is built.
pub(crate) struct Program<'a> {
    /// What is built.
    pub(crate) object: Object,
    /// The compiler.
    pub(crate) toolchain: &'a Toolchain,
    /// The linker.
    pub(crate) linker: &'a Path,
    /// The workspace's root.
    pub(crate) workspace: &'a Path,
    /// A target folder of its own: the outer cargo holds a lock on its own one and would wait for itself.
    pub(crate) target_dir: &'a Path,
    /// The host's architecture, which decides where `pt_regs` and the like have their fields.
    pub(crate) arch: &'a str,
}

impl Program<'_> {
    /// `cargo build`, quiet but for warnings and errors.
    pub(crate) fn build(&self) -> Command {
        let mut command = self.toolchain.cargo();
        command.args(["build", "--quiet"]);
        self.arguments(&mut command);
        command
    }

    /// `cargo clippy` for the kernel's target, with warnings as errors; `None` if the toolchain has no clippy.
    pub(crate) fn clippy(&self) -> Option<Command> {
        let mut command = self.toolchain.clippy()?;
        self.arguments(&mut command);
        command.args(["--", "-D", "warnings"]);
        Some(command)
    }

    /// Where [`Self::build`] leaves the object.
    pub(crate) fn path(&self) -> PathBuf {
        self.target_dir.join(TARGET).join("release").join(self.object.binary)
    }

    fn arguments(&self, command: &mut Command) {
        command
            .current_dir(self.workspace)
            .args(["--package", self.object.package, "--bins", "--release", "--target", TARGET, "-Zbuild-std=core"])
            .arg("--target-dir")
            .arg(self.target_dir)
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags());
    }

    /// In cargo's own encoding, since the quotes of a cfg do not survive in `RUSTFLAGS`.
    fn rustflags(&self) -> String {
        let mut flags = vec![
            format!("--cfg=bpf_target_arch=\"{}\"", self.arch),
            // BTF, by which the kernel and `bpftool` know the maps' types, is made of the debug information.
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
        ];
        if self.knows_misaligned() {
            // To the linker, which generates the code: as a `-Ctarget-feature` it is warned about at every build.
            flags.push(format!("-Clink-arg=--cpu-features=+{MISALIGNED}"));
        }
        flags.join("\x1f")
    }

    fn knows_misaligned(&self) -> bool {
        let allowed = matches!(self.arch, "x86_64" | "aarch64");
        let known = || {
            let output = self.toolchain.rustc().args(["--print", "target-features", "--target", TARGET]).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(MISALIGNED))
        };
        allowed && known()
    }
}
