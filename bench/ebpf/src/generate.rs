//! The load generator: sends distinct INVITEs into the wire at a given rate. `BPF_PROG_TEST_RUN` runs it with live
//! frames.
#![expect(clippy::indexing_slicing, reason = "a mask bounds the index")]
#![expect(unsafe_code, reason = "helpers, and map elements lent as references")]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_redirect, bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

use crate::layout::{MAX_FRAME, NICS, Pace, Template};
use crate::number::digits;

#[map]
pub(crate) static TEMPLATE: Array<Template> = Array::with_max_entries(1, 0);

#[map]
static PACE: Array<Pace> = Array::with_max_entries(1, 0);

/// Maximum number of times that the clock is read while waiting for one frame: some 20 ms, at 20 ns each.
const MAX_CLOCK_READS: u32 = 1 << 20;
/// Maximum delay in nanoseconds that the generator makes up for. After a longer one, it would send a burst instead of
/// the requested load.
const MAX_BEHIND_NS: u64 = 1_000_000;

/// Waits until the next frame is due, and sends it.
///
/// On a veth the frame arrives at the queue with the number of this CPU, if there are that many (`veth_select_rxq()`).
#[xdp]
fn generate(ctx: XdpContext) -> u32 {
    let (Some(pace), Some(template)) = (PACE.get_ptr_mut(0), TEMPLATE.get_ptr_mut(0)) else { return XDP_ABORTED };
    // SAFETY: the generator runs in one thread, and nothing else accesses these maps meanwhile.
    let (pace, template) = unsafe { (&mut *pace, &mut *template) };
    let now = wait_until(pace.next_ns);
    if pace.sent == 0 {
        (pace.first_ns, pace.next_ns) = (now, now);
    }
    if now - pace.first_ns >= pace.duration_ns {
        // A generator that was delayed has sent less in the whole duration, not as much in a shorter one.
        pace.last_ns = pace.first_ns + pace.duration_ns;
        return XDP_DROP;
    }
    pace.next_ns = pace.next_ns.max(now.saturating_sub(MAX_BEHIND_NS)) + pace.interval_ns;
    pace.last_ns = now;
    pace.sent += 1;
    if !write(&ctx, template) {
        return XDP_ABORTED;
    }
    // SAFETY: the helper has no preconditions; it only records the target of the frame.
    unsafe { bpf_redirect(pace.nics[pace.sent as usize & (NICS - 1)], 0) as u32 }
}

/// Waits until the time `due` and returns the time then, both in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
fn wait_until(due: u64) -> u64 {
    let mut due = due;
    // SAFETY: `is_due` has the signature of a bpf_loop callback (`long (u32 index, void *ctx)`), and `due` outlives the
    // call.
    unsafe { bpf_loop(MAX_CLOCK_READS, is_due as *mut c_void, (&raw mut due).cast(), 0) };
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Returns 1, which ends `bpf_loop`, if the time `due` has come, and 0 otherwise.
unsafe extern "C" fn is_due(_index: u64, due: *mut u64) -> i64 {
    // SAFETY: `due` is the pointer that `wait_until` has passed to `bpf_loop`; the helper has no preconditions.
    unsafe { i64::from(bpf_ktime_get_ns() >= *due) }
}

/// Writes the next call over the whole frame. Returns whether it succeeded.
///
/// The whole frame, because the kernel recycles its pages: they contain what the last receiver left in them.
#[inline(always)]
fn write(ctx: &XdpContext, template: &mut Template) -> bool {
    template.number = template.number.wrapping_add(1);
    let digits = digits(template.number);
    for place in &template.places {
        let place = *place as usize & (MAX_FRAME - 1);
        // SAFETY: `place` is less than MAX_FRAME, and the buffer has MAX_FRAME + 8 bytes.
        unsafe { template.frame.as_mut_ptr().add(place).cast::<u64>().write_unaligned(digits) };
    }
    // The mask goes over the length less one, so that the verifier knows a range from 1 to MAX_FRAME: the helper
    // rejects 0.
    let length = (template.length.wrapping_sub(1) & (MAX_FRAME as u32 - 1)) + 1;
    // SAFETY: the context is the kernel's, and the buffer has more than MAX_FRAME bytes.
    unsafe { bpf_xdp_store_bytes(ctx.ctx, 0, template.frame.as_mut_ptr().cast(), length) == 0 }
}
