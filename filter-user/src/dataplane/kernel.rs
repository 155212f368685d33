//! The features that the XDP program needs of the running kernel.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported};

use super::Error;

/// Helpers of the XDP program that the oldest supported kernel, Linux 6.1, has, and older ones may not.
///
/// The version is not compared: distributions take newer BPF into older kernels.
const HELPERS: [(BpfHelper, &str); 3] = [
    (BpfHelper::BPF_FUNC_loop, "bpf_loop"),
    (BpfHelper::BPF_FUNC_xdp_load_bytes, "bpf_xdp_load_bytes"),
    (BpfHelper::BPF_FUNC_ktime_get_coarse_ns, "bpf_ktime_get_coarse_ns"),
];

/// Checks that the running kernel has the helpers of the XDP program. Changes nothing.
///
/// If that cannot be found out, because a privilege is missing, there is no error: loading the program shows it.
pub fn check() -> Result<(), Error> {
    let lacks = |helper: BpfHelper| matches!(is_helper_supported(ProgramType::Xdp, helper), Ok(false));
    match HELPERS.into_iter().find(|(helper, _)| lacks(*helper)) {
        Some((_, helper)) => Err(Error::KernelTooOld { found: release(), helper }),
        None => Ok(()),
    }
}

/// Returns the release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "of an unknown version".to_owned(), |release| release.trim().to_owned())
}
