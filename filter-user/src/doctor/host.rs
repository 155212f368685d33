//! Checks of the host: its kernel, and the privileges of this process.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t};

use super::Finding;
use crate::dataplane::{self, kernel};
use crate::responder::{self, LOCKED_BYTES_PER_QUEUE};

/// Checks the host. If a daemon runs, the privileges of this process do not matter.
pub(super) fn examine(daemon_is_running: bool) -> Vec<Finding> {
    let mut findings = vec![kernel()];
    if !daemon_is_running {
        let effective = caps::read(None, CapSet::Effective).ok();
        let limit = getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft);
        findings.push(capabilities(effective.as_ref()));
        findings.push(locked_memory(effective.as_ref(), limit));
    }
    findings.extend([jit(fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")), af_xdp(), btf()]);
    findings
}

fn kernel() -> Finding {
    let why = "the XDP program needs bpf_loop (Linux 5.17) and multi-buffer frames (5.18)";
    match dataplane::check_kernel() {
        Ok(()) => Finding::ok("kernel", format!("the kernel is Linux {}", kernel::release()), why),
        Err(error) => Finding::failure("kernel", error.to_string(), why, "boot a newer kernel"),
    }
}

/// Checks the effective capabilities; `None` if the kernel does not report them.
fn capabilities(effective: Option<&CapsHashSet>) -> Finding {
    let why =
        "CAP_BPF and CAP_PERFMON load the XDP program, CAP_NET_ADMIN attaches it, CAP_NET_RAW opens AF_XDP sockets";
    let Some(effective) = effective else {
        return Finding::ok("capabilities", "the kernel does not report the capabilities of this process", why);
    };
    let missing = missing(effective);
    if missing.is_empty() {
        return Finding::ok("capabilities", "this process has the capabilities that `sip-filter run` needs", why);
    }
    let names: Vec<String> = missing.iter().map(Capability::to_string).collect();
    let fact = format!("this process does not have {}", names.join(", "));
    let fix = "run sip-filter as root, or with these capabilities, as the systemd unit does";
    Finding::failure("capabilities", fact, why, fix)
}

/// Returns the capabilities that are missing.
///
/// `CAP_SYS_ADMIN` includes all that bpf(2) needs, but not `CAP_NET_RAW`, which AF_XDP needs.
fn missing(effective: &CapsHashSet) -> Vec<Capability> {
    let has = |capability| effective.contains(&capability);
    let is_included = |capability| capability != Capability::CAP_NET_RAW && has(Capability::CAP_SYS_ADMIN);
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW]
        .into_iter()
        .filter(|capability| !has(*capability) && !is_included(*capability))
        .collect()
}

/// Checks the soft limit on locked memory in bytes, which does not apply with `CAP_IPC_LOCK`; `None` if it is unknown.
fn locked_memory(effective: Option<&CapsHashSet>, limit: Option<rlim_t>) -> Finding {
    let why = format!("each RX queue locks {} MiB for its AF_XDP socket", LOCKED_BYTES_PER_QUEUE >> 20);
    let is_exempt = effective.is_some_and(|effective| effective.contains(&Capability::CAP_IPC_LOCK));
    match limit {
        Some(bytes) if bytes != RLIM_INFINITY && bytes < LOCKED_BYTES_PER_QUEUE && !is_exempt => {
            let fact = format!("this process may lock only {} KiB of memory", bytes >> 10);
            let fix = "`ulimit -l unlimited` in the shell, `LimitMEMLOCK=infinity` in a systemd unit (ours has it), or \
                       CAP_IPC_LOCK";
            Finding::failure("locked-memory", fact, why, fix)
        }
        _ => Finding::ok("locked-memory", "this process may lock the memory that a queue needs", why),
    }
}

/// Checks the content of `/proc/sys/net/core/bpf_jit_enable`, which exists only in the host's own network namespace.
fn jit(content: io::Result<String>) -> Finding {
    let why =
        "the BPF interpreter cannot run programs with bpf_loop, so without the JIT compiler the kernel rejects ours";
    match content.as_deref().map(str::trim) {
        Ok("0") => {
            let fact = "the kernel's JIT compiler for BPF programs is off";
            Finding::failure("jit", fact, why, "sysctl -w net.core.bpf_jit_enable=1")
        }
        Ok(_) => Finding::ok("jit", "the kernel's JIT compiler for BPF programs is on", why),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fact = "this network namespace does not show whether the kernel's JIT compiler for BPF programs is on";
            Finding::ok("jit", fact, why)
        }
        Err(error) => Finding::ok("jit", format!("cannot read whether the kernel's JIT compiler is on: {error}"), why),
    }
}

fn af_xdp() -> Finding {
    let why = "AF_XDP sockets carry calls to the responder, and its responses back";
    match responder::probe() {
        Ok(()) => Finding::ok("af-xdp", "the kernel has AF_XDP", why),
        // The kernel checks CAP_NET_RAW only where it has AF_XDP (`xsk_create()`). `capabilities` reports if it is
        // missing.
        Err(error) if error.os_error() == Some(libc::EPERM) => Finding::ok("af-xdp", "the kernel has AF_XDP", why),
        Err(error) => {
            let fix =
                "use a kernel with CONFIG_XDP_SOCKETS; in a systemd unit, RestrictAddressFamilies= must name AF_XDP";
            Finding::failure("af-xdp", format!("cannot open an AF_XDP socket: {error}"), why, fix)
        }
    }
}

fn btf() -> Finding {
    let why = "sip-filter does not need BTF; with it, `bpftool` shows the members of its maps by name";
    let has_btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    Finding::ok("btf", format!("the kernel has {}type information (BTF)", if has_btf { "" } else { "no " }), why)
}

#[cfg(test)]
mod tests {
    use std::io;

    use caps::Capability::{CAP_BPF, CAP_IPC_LOCK, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN};
    use caps::{Capability, CapsHashSet};
    use nix::sys::resource::RLIM_INFINITY;
    use rstest::rstest;

    use super::{capabilities, jit, locked_memory};
    use crate::doctor::Level;

    /// Each was tried with `setpriv --bounding-set` and `sip-filter run`.
    #[rstest]
    #[case::root(caps::all(), Level::Ok, "")]
    #[case::systemd_unit([CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW].into(), Level::Ok, "")]
    #[case::sys_admin_and_raw([CAP_SYS_ADMIN, CAP_NET_RAW].into(), Level::Ok, "")]
    #[case::no_perfmon([CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW].into(), Level::Failure, "CAP_PERFMON")]
    #[case::no_raw([CAP_SYS_ADMIN, CAP_NET_ADMIN].into(), Level::Failure, "CAP_NET_RAW")]
    #[case::nobody([].into(), Level::Failure, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW")]
    fn missing_capabilities_are_named(#[case] effective: CapsHashSet, #[case] level: Level, #[case] named: &str) {
        let finding = capabilities(Some(&effective));
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.fact.ends_with(named), "{finding:?}");
    }

    #[rstest]
    #[case::too_low(&[], 8 << 20, Level::Failure)]
    #[case::enough(&[], 16 << 20, Level::Ok)]
    #[case::exempt(&[CAP_IPC_LOCK], 0, Level::Ok)]
    #[case::unlimited(&[], RLIM_INFINITY, Level::Ok)]
    fn limit_on_locked_memory_applies_without_cap_ipc_lock(
        #[case] effective: &[Capability],
        #[case] limit: u64,
        #[case] level: Level,
    ) {
        let effective = effective.iter().copied().collect();
        assert_eq!(locked_memory(Some(&effective), Some(limit)).level, level);
    }

    #[test]
    fn jit_compiler_that_is_off_is_a_failure() {
        assert_eq!(jit(Ok("0\n".into())).level, Level::Failure);
        assert_eq!(jit(Ok("1\n".into())).level, Level::Ok);
        let hidden = jit(Err(io::ErrorKind::NotFound.into()));
        assert_eq!(hidden.level, Level::Ok);
        assert!(hidden.fact.contains("does not show"), "{hidden:?}");
    }
}
