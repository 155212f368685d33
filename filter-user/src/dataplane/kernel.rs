//! Version of the running kernel.

use aya::util::KernelVersion;

use super::Error;

/// Oldest supported kernel. `bpf_loop` came with 5.17, `bpf_xdp_load_bytes` and multi-buffer frames with 5.18, and 6.1
/// is the oldest long-term kernel that has them. `cargo xtask kernels` tests it.
const OLDEST: KernelVersion = KernelVersion::new(6, 1, 0);

/// Checks that the running kernel has what the XDP program needs. Changes nothing, and needs no privileges.
pub fn check() -> Result<(), Error> {
    match KernelVersion::current() {
        Ok(found) if found < OLDEST => Err(Error::KernelTooOld { found: release() }),
        // If the version is unknown, the verifier decides.
        _ => Ok(()),
    }
}

/// Returns the release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "of an unknown version".to_owned(), |release| release.trim().to_owned())
}
