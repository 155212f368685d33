//! The maps for queues, policy, ports and counters, which the daemon fills and reads. [`filter_common::maps`] has their
//! names and layouts.
#![expect(unsafe_code, reason = "helpers, and reads of the context and of map elements")]

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, XskMap};
use aya_ebpf::programs::XdpContext;
use filter_common::maps::{MAX_QUEUES, Policy, PortSet, QueueKey, QueueState};
use filter_common::verdict::Verdict;

#[map]
static POLICY: Array<Policy> = Array::with_max_entries(1, 0);

#[map]
static QUEUES: HashMap<QueueKey, QueueState> = HashMap::with_max_entries(MAX_QUEUES, 0);

#[map]
pub(crate) static SOCKETS: XskMap = XskMap::with_max_entries(MAX_QUEUES, 0);

#[map]
static PORTS: Array<PortSet> = Array::with_max_entries(1, 0);

#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);

#[map]
static OWNERSHIP_GENERATION: Array<u32> = Array::with_max_entries(1, 0);

/// Returns the current policy.
#[inline(always)]
pub(crate) fn policy() -> Option<&'static Policy> {
    POLICY.get(0)
}

/// Returns the generation of the maps of what is this host's.
#[inline(always)]
pub(crate) fn ownership_generation() -> Option<u32> {
    // SAFETY: the pointer is to an element of an array, which stays. Volatile, so that LLVM does not move the read
    // behind those of the maps.
    OWNERSHIP_GENERATION.get_ptr(0).map(|generation| unsafe { generation.read_volatile() })
}

/// Returns whether the proxy listens on `port` (host byte order).
#[inline(always)]
pub(crate) fn is_sip_port(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.contains(port))
}

/// Returns the time for leases and transactions, in nanoseconds of `CLOCK_MONOTONIC`, as of the kernel's last tick.
///
/// It is up to 10 ms old (at 100 Hz), which does not matter for a lease of a second, and saves reading a clock.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Returns the RX queue on which the frame arrived.
#[inline(always)]
pub(crate) fn rx_queue(ctx: &XdpContext) -> QueueKey {
    // SAFETY: the kernel passes a valid `struct xdp_md`, and any XDP program may read both fields. Volatile, since LLVM
    // would merge them into one load of eight bytes, which the verifier rejects.
    unsafe {
        QueueKey {
            ifindex: (&raw const (*ctx.ctx).ingress_ifindex).read_volatile(),
            queue: (&raw const (*ctx.ctx).rx_queue_index).read_volatile(),
        }
    }
}

/// Returns the socket of the responder that serves `queue`, if its lease is valid at `now`.
#[inline(always)]
pub(crate) fn leased_socket(queue: &QueueKey, now: u64) -> Option<u32> {
    // SAFETY: the map is preallocated, so the element's memory stays a `QueueState` as long as the program runs. The
    // daemon replaces whole elements, and reads of the aligned `u64` of the lease are never torn.
    let state = unsafe { QUEUES.get(queue) }?;
    (now < state.redirect_until_ns).then_some(state.socket)
}

/// Counts a packet under `verdict`.
#[inline(always)]
pub(crate) fn count(verdict: Verdict) {
    if let Some(packets) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: the pointer is to this CPU's element, and no other XDP program interrupts this one on its CPU.
        unsafe { *packets += 1 };
    }
}
