//! Makes the load, run by `BPF_PROG_TEST_RUN` with live frames: different INVITEs, at a given rate, into the wire.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_redirect, bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

use crate::layout::{MAX_FRAME, NICS, PLACES, Pace, Template};
use crate::number::digits;

#[map]
pub static TEMPLATE: Array<Template> = Array::with_max_entries(1, 0);

#[map]
static PACE: Array<Pace> = Array::with_max_entries(1, 0);

/// Looks at the clock before one frame: at 20 ns each, some 20 ms.
const MAX_LOOKS: u32 = 1 << 20;
/// Who is further behind than this does not catch up: a burst would be another load than the one asked for.
const MAX_BEHIND_NS: u64 = 1_000_000;

/// Waits until the next frame is due, and sends it. On a veth it comes in at the queue with the number of this CPU, if there are
/// as many (`veth_select_rxq()`).
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    let (Some(pace), Some(template)) = (PACE.get_ptr_mut(0), TEMPLATE.get_ptr_mut(0)) else { return XDP_ABORTED };
    // SAFETY: one thread runs the generator, and nobody else writes these maps meanwhile.
    let (pace, template) = unsafe { (&mut *pace, &mut *template) };
    let now = wait(pace.next_ns);
    if pace.sent == 0 {
        (pace.first_ns, pace.next_ns) = (now, now);
    }
    if now - pace.first_ns >= pace.duration_ns {
        // Who was held up has sent less, not faster.
        pace.last_ns = pace.first_ns + pace.duration_ns;
        return XDP_DROP;
    }
    pace.next_ns = pace.next_ns.max(now.saturating_sub(MAX_BEHIND_NS)) + pace.interval_ns;
    pace.last_ns = now;
    pace.sent += 1;
    if !write(&ctx, template) {
        return XDP_ABORTED;
    }
    // SAFETY: the helper has no preconditions; it only notes where the frame goes.
    unsafe { bpf_redirect(pace.nics[pace.sent as usize & (NICS - 1)], 0) as u32 }
}

/// Waits for a time, and returns the time that it is then.
#[inline(always)]
fn wait(until: u64) -> u64 {
    let mut due = until;
    // SAFETY: `look` has the signature that bpf_loop calls (`long (u32 index, void *ctx)`), and `due` outlives the call.
    unsafe { bpf_loop(MAX_LOOKS, look as *mut c_void, (&raw mut due).cast(), 0) };
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// The callback of `bpf_loop`, where 1 ends the loop.
unsafe extern "C" fn look(_index: u64, due: *mut u64) -> i64 {
    // SAFETY: `bpf_loop` passes on the pointer that `wait` gave it; the other helper has no preconditions.
    unsafe { i64::from(bpf_ktime_get_ns() >= *due) }
}

/// Writes the whole frame, and says whether it could: the kernel recycles its pages, so what is in it is what the last receiver left there.
#[inline(always)]
fn write(ctx: &XdpContext, template: &mut Template) -> bool {
    template.number = template.number.wrapping_add(1);
    let digits = digits(template.number);
    for place in 0..PLACES {
        let place = template.places[place] as usize & (MAX_FRAME - 1);
        // SAFETY: `place` is less than MAX_FRAME, and eight octets follow it in a frame of MAX_FRAME + 8.
        unsafe { template.frame.as_mut_ptr().add(place).cast::<u64>().write_unaligned(digits) };
    }
    // One less goes through the mask: the helper wants to be sure that there is something to store.
    let length = (template.length.wrapping_sub(1) & (MAX_FRAME as u32 - 1)) + 1;
    // SAFETY: the context is the kernel's, and the frame has MAX_FRAME octets and more.
    unsafe { bpf_xdp_store_bytes(ctx.ctx, 0, template.frame.as_mut_ptr().cast(), length) == 0 }
}
