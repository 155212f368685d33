//! The host: its kernel, and what we may do with it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Finding;
use crate::dataplane::{self, kernel};
use crate::responder::{self, LOCKED_BYTES_PER_QUEUE};

/// Capabilities by their numbers (`include/uapi/linux/capability.h`).
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const IPC_LOCK: u32 = 14;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// `daemon_answers`: one runs, so what this process itself may do does not matter.
pub(super) fn examine(daemon_answers: bool) -> Vec<Finding> {
    let (effective, locked) = (effective_capabilities(), locked_memory());
    let mut findings = vec![kernel()];
    if !daemon_answers {
        findings.push(capabilities(effective));
        findings.push(memory(effective, locked));
    }
    findings.extend([jit(fs::read_to_string("/proc/sys/net/core/bpf_jit_enable")), af_xdp(), btf()]);
    findings
}

fn kernel() -> Finding {
    let why = "the XDP program needs bpf_loop (Linux 5.17) and frames in several buffers (5.18)";
    match dataplane::check_kernel() {
        Ok(()) => Finding::ok("kernel", format!("the kernel is Linux {}", kernel::release()), why),
        Err(error) => Finding::failure("kernel", error.to_string(), why, "boot a newer kernel"),
    }
}

/// A line of a file in /proc: what stands behind its name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// `None`: /proc does not tell.
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    u64::from_str_radix(field(&status, "CapEff:")?, 16).ok()
}

fn has(capabilities: u64, capability: u32) -> bool {
    capabilities & (1 << capability) != 0
}

/// Which are missing. CAP_SYS_ADMIN stands for all that bpf(2) asks for, but not for CAP_NET_RAW, which AF_XDP wants.
fn missing(effective: u64) -> Vec<&'static str> {
    let wanted = [(BPF, "CAP_BPF"), (PERFMON, "CAP_PERFMON"), (NET_ADMIN, "CAP_NET_ADMIN")];
    let bpf = wanted.into_iter().filter(|(capability, _)| !has(effective, *capability) && !has(effective, SYS_ADMIN));
    let raw = [(NET_RAW, "CAP_NET_RAW")].into_iter().filter(|(capability, _)| !has(effective, *capability));
    bpf.chain(raw).map(|(_, name)| name).collect()
}

fn capabilities(effective: Option<u64>) -> Finding {
    let why =
        "CAP_BPF and CAP_PERFMON load the XDP program, CAP_NET_ADMIN attaches it, CAP_NET_RAW opens AF_XDP sockets";
    let Some(effective) = effective else {
        return Finding::ok("capabilities", "/proc does not tell which capabilities this process has", why);
    };
    let missing = missing(effective);
    if missing.is_empty() {
        return Finding::ok("capabilities", "this process has the capabilities that `sip-filter run` needs", why);
    }
    let fact = format!("this process does not have {}", missing.join(", "));
    let mend = "run it as root, or with these capabilities, as the systemd unit does";
    Finding::failure("capabilities", fact, why, mend)
}

/// How much memory this process may lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Octets(u64),
    None,
}

/// `None`: /proc does not tell.
fn locked_memory() -> Option<Limit> {
    limit(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// The soft limit on locked memory, from /proc/PID/limits.
fn limit(limits: &str) -> Option<Limit> {
    match field(limits, "Max locked memory")?.split_whitespace().next()? {
        "unlimited" => Some(Limit::None),
        octets => octets.parse().ok().map(Limit::Octets),
    }
}

fn memory(effective: Option<u64>, limit: Option<Limit>) -> Finding {
    let why = format!("each RX queue locks {} MiB for its AF_XDP socket", LOCKED_BYTES_PER_QUEUE >> 20);
    match limit {
        Some(Limit::Octets(octets))
            if octets < LOCKED_BYTES_PER_QUEUE && !effective.is_some_and(|all| has(all, IPC_LOCK)) =>
        {
            let fact = format!("this process may lock no more than {} KiB of memory", octets >> 10);
            let mend = "`ulimit -l unlimited` in the shell, `LimitMEMLOCK=infinity` in a systemd unit (ours has it), or CAP_IPC_LOCK";
            Finding::failure("locked-memory", fact, why, mend)
        }
        _ => Finding::ok("locked-memory", "this process may lock the memory that a queue needs", why),
    }
}

/// `read`: what /proc/sys/net/core/bpf_jit_enable says, which is there only in the network namespace of the host.
fn jit(read: io::Result<String>) -> Finding {
    let why = "the interpreter cannot run programs with bpf_loop, so the kernel refuses ours without the compiler";
    match read.as_deref().map(str::trim) {
        Ok("0") => {
            let fact = "the kernel's compiler for BPF programs (JIT) is off";
            Finding::failure("jit", fact, why, "sysctl -w net.core.bpf_jit_enable=1")
        }
        Ok(_) => Finding::ok("jit", "the kernel compiles BPF programs (JIT)", why),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fact = "whether the kernel compiles BPF programs (JIT) is not shown in this network namespace";
            Finding::ok("jit", fact, why)
        }
        Err(error) => {
            Finding::ok("jit", format!("whether the kernel compiles BPF programs (JIT) cannot be read: {error}"), why)
        }
    }
}

fn af_xdp() -> Finding {
    let why = "calls reach the responder, and its replies leave, by AF_XDP sockets";
    match responder::probe() {
        Ok(()) => Finding::ok("af-xdp", "the kernel has AF_XDP", why),
        // The kernel asks for CAP_NET_RAW only where it has AF_XDP (`xsk_create()`); whether we have that is told elsewhere.
        Err(error) if error.os_error() == Some(libc::EPERM) => Finding::ok("af-xdp", "the kernel has AF_XDP", why),
        Err(error) => {
            let mend = "a kernel with CONFIG_XDP_SOCKETS; in a systemd unit, RestrictAddressFamilies= must name AF_XDP";
            Finding::failure("af-xdp", format!("no AF_XDP socket can be had: {error}"), why, mend)
        }
    }
}

fn btf() -> Finding {
    let why = "sip-filter does not need them; `bpftool` shows its maps with names by them";
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    Finding::ok("btf", format!("the kernel {} its types (BTF)", if there { "tells" } else { "does not tell" }), why)
}

#[cfg(test)]
mod tests {
    use std::io;

    use rstest::rstest;

    use super::{Limit, capabilities, field, jit, limit, memory};
    use crate::doctor::Level;

    /// Each was tried with `setpriv --bounding-set` and `sip-filter run`.
    #[rstest]
    #[case::root(u64::MAX, Level::Ok, "")]
    #[case::as_the_unit_has_it((1 << 39) | (1 << 38) | (1 << 12) | (1 << 13), Level::Ok, "")]
    #[case::sys_admin_and_raw((1 << 21) | (1 << 13), Level::Ok, "")]
    #[case::no_perfmon((1 << 39) | (1 << 12) | (1 << 13), Level::Failure, "CAP_PERFMON")]
    #[case::no_raw((1 << 21) | (1 << 12), Level::Failure, "CAP_NET_RAW")]
    #[case::nobody(0, Level::Failure, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW")]
    fn capabilities_that_are_missing_are_named(#[case] effective: u64, #[case] level: Level, #[case] named: &str) {
        let finding = capabilities(Some(effective));
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.fact.ends_with(named), "{finding:?}");
    }

    #[test]
    fn the_limit_on_locked_memory_counts_without_cap_ipc_lock() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             31414                31414                processes \n\
                    Max locked memory         8388608              8388608              bytes     \n";
        assert_eq!(limit(text), Some(Limit::Octets(8 << 20)));
        assert_eq!(
            limit("Max locked memory         unlimited            unlimited            bytes"),
            Some(Limit::None)
        );
        assert_eq!(limit(""), None);
        assert_eq!(memory(Some(0), Some(Limit::Octets(8 << 20))).level, Level::Failure);
        assert_eq!(memory(Some(0), Some(Limit::Octets(16 << 20))).level, Level::Ok);
        assert_eq!(memory(Some(1 << 14), Some(Limit::Octets(0))).level, Level::Ok);
        assert_eq!(memory(Some(0), Some(Limit::None)).level, Level::Ok);
    }

    #[test]
    fn without_the_compiler_the_program_is_refused() {
        assert_eq!(jit(Ok("0\n".into())).level, Level::Failure);
        assert_eq!(jit(Ok("1\n".into())).level, Level::Ok);
        let hidden = jit(Err(io::ErrorKind::NotFound.into()));
        assert_eq!(hidden.level, Level::Ok);
        assert!(hidden.fact.contains("not shown"), "{hidden:?}");
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        assert_eq!(field("CapPrm:\t01\nCapEff:\t000001fffeffffff\n", "CapEff:"), Some("000001fffeffffff"));
        assert_eq!(field("CapPrm:\t01\n", "CapEff:"), None);
    }
}
