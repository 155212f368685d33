//! The maps that the XDP program shares with the daemon. Their layouts and names are [`filter_common::maps`].

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
pub static SOCKETS: XskMap = XskMap::with_max_entries(MAX_QUEUES, 0);

#[map]
static PORTS: Array<PortSet> = Array::with_max_entries(1, 0);

#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);

/// The policy in force.
#[inline(always)]
pub fn policy() -> Option<&'static Policy> {
    POLICY.get(0)
}

/// Whether the proxy listens on `port` (host byte order).
#[inline(always)]
pub fn is_sip_port(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.contains(port))
}

/// The time of leases and of what is remembered, in nanoseconds of `CLOCK_MONOTONIC`, as it was at the last tick of the
/// kernel: up to 10 ms ago (at 100 Hz), which is nothing to a lease of a second, and does without reading a clock.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// The RX queue on which the frame came.
#[inline(always)]
pub fn rx_queue(ctx: &XdpContext) -> QueueKey {
    // SAFETY: the kernel passes a valid `struct xdp_md` to the program; both fields may be read by any XDP program.
    // Volatile, since LLVM would fuse them into one load of eight octets, which the verifier refuses.
    unsafe {
        QueueKey {
            ifindex: (&raw const (*ctx.ctx).ingress_ifindex).read_volatile(),
            queue: (&raw const (*ctx.ctx).rx_queue_index).read_volatile(),
        }
    }
}

/// The socket of the responder that serves `queue`, if its lease has not run out.
#[inline(always)]
pub fn leased_socket(queue: &QueueKey, now: u64) -> Option<u32> {
    // SAFETY: the map is preallocated, so the element's memory stays a `QueueState` as long as the program runs; the
    // daemon replaces elements whole, and a torn read is not possible for the aligned u64 of the lease.
    let state = unsafe { QUEUES.get(queue) }?;
    (now < state.redirect_until_ns).then_some(state.socket)
}

/// Counts a packet under `verdict`.
#[inline(always)]
pub fn count(verdict: Verdict) {
    if let Some(packets) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: the pointer is to this CPU's own element, and an XDP program is not interrupted by another one on
        // the same CPU.
        unsafe { *packets += 1 };
    }
}
