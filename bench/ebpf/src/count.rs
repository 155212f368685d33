//! Counts what comes back from the proxy's port to the generator's, which is the same, and drops it.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;

use crate::headers::{Headers, PAYLOAD};
use crate::layout::{ANSWERS, PORT, REFLECTED};

#[map]
static COUNTED: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// How a response begins that refuses a call: the last eight of the eleven octets of `SIP/2.0 503`.
const REFUSAL: u64 = u64::from_le_bytes(*b"/2.0 503");
/// Where these eight are in the payload.
const REFUSAL_AT: usize = 3;

/// At the generator's end of the wire.
#[xdp]
pub fn count(ctx: XdpContext) -> u32 {
    let Some(headers) = Headers::of(&ctx) else { return XDP_PASS };
    // SAFETY: `Headers::of` has seen that the frame has them.
    let ports = unsafe { [(*headers).source_port, (*headers).destination_port] };
    if ports != [PORT.to_be(); 2] {
        return XDP_PASS;
    }
    let index = if is_refusal(&ctx) { ANSWERS } else { REFLECTED };
    if let Some(packets) = COUNTED.get_ptr_mut(index) {
        // SAFETY: the pointer is to this CPU's own element, and one XDP program does not interrupt another there.
        unsafe { *packets += 1 };
    }
    XDP_DROP
}

#[inline(always)]
fn is_refusal(ctx: &XdpContext) -> bool {
    let at = ctx.data() + PAYLOAD + REFUSAL_AT;
    // SAFETY: the word is read only if it ends within the frame.
    at + 8 <= ctx.data_end() && unsafe { (at as *const u64).read_unaligned() } == REFUSAL
}
