//! The counter at the generator's end of the wire.
#![expect(unsafe_code, reason = "reads of packet memory, and a write to a map element")]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;

use crate::headers::{Headers, PAYLOAD};
use crate::layout::{PORT, REFLECTED, RESPONSES};

#[map]
static COUNTED: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Beginning of a response that refuses a call: the last eight of the eleven bytes of `SIP/2.0 503`.
const REFUSAL: u64 = u64::from_le_bytes(*b"/2.0 503");
/// Offset of [`REFUSAL`] in the payload.
const REFUSAL_OFFSET: usize = 3;

/// Counts and drops the packets from the proxy's port to the generator's, which has the same number.
#[xdp]
fn count(ctx: XdpContext) -> u32 {
    let Some(headers) = Headers::parse(&ctx) else { return XDP_PASS };
    // SAFETY: the pointer is valid (`Headers::parse`).
    let ports = unsafe { [(*headers).source_port, (*headers).destination_port] };
    if ports != [PORT.to_be(); 2] {
        return XDP_PASS;
    }
    let index = if is_refusal(&ctx) { RESPONSES } else { REFLECTED };
    if let Some(packets) = COUNTED.get_ptr_mut(index) {
        // SAFETY: the pointer is to this CPU's element, and XDP programs on one CPU do not interrupt each other.
        unsafe { *packets += 1 };
    }
    XDP_DROP
}

/// Returns whether the payload is a response that refuses a call.
#[inline(always)]
fn is_refusal(ctx: &XdpContext) -> bool {
    let at = ctx.data() + PAYLOAD + REFUSAL_OFFSET;
    // SAFETY: the word is read only if it ends within the frame.
    at + 8 <= ctx.data_end() && unsafe { (at as *const u64).read_unaligned() } == REFUSAL
}
