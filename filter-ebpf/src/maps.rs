//! The maps that the XDP program shares with the daemon. Their layouts and names are [`filter_common::maps`].

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, XskMap};
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

/// The socket of the responder that serves `queue`, if its lease has not run out.
#[inline(always)]
pub fn leased_socket(queue: &QueueKey) -> Option<u32> {
    // SAFETY: the map is preallocated, so the element's memory stays a `QueueState` as long as the program runs; the
    // daemon replaces elements whole, and a torn read is not possible for the aligned u64 of the lease.
    let state = unsafe { QUEUES.get(queue) }?;
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
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
