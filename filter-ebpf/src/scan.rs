//! Runs the scans of `filter-common` over the current message.
#![expect(unsafe_code, reason = "`bpf_loop` takes a callback and its argument as raw pointers")]

use core::ops::ControlFlow;

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_loop;
use filter_common::sip::{Decision, body_len};

use crate::scratch::{BUFFER, Scratch};

/// Maximum number of steps: a scan takes less than three for each byte
/// ([`Scan::step`](filter_common::sip::Scan::step)).
const MAX_STEPS: u32 = 3 * BUFFER as u32;

/// Maximum number of steps of the search for Content-Length
/// ([`BodyScan::step`](filter_common::sip::BodyScan::step)).
const MAX_BODY_STEPS: u32 = 5 * BUFFER as u32;

/// The argument of [`step`] and [`body_step`]. It is on the stack, where `bpf_loop` requires it.
struct Argument {
    scratch: *mut Scratch,
}

/// Scans the current message from its Request-URI on, at `request_uri`, and returns the decision.
#[inline(always)]
pub(crate) fn decide(scratch: &mut Scratch, request_uri: u32) -> Decision {
    scratch.scan.restart(request_uri, scratch.packet().length());
    scratch.decision = Decision::Undecided as u32;
    let scratch: *mut Scratch = scratch;
    let mut argument = Argument { scratch };
    // SAFETY: `step` has the signature that `bpf_loop` calls (`long (u32 index, void *ctx)`), and `argument` outlives
    // the call. If the helper fails, the decision stays `Undecided`.
    unsafe { bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut argument).cast(), 0) };
    // SAFETY: the pointer comes from a reference that is not used meanwhile, and `step` runs no more.
    Decision::from_u32(unsafe { (*scratch).decision })
}

/// Runs one step of the scan. The callback of `bpf_loop`, which continues on 0 and stops on 1.
unsafe extern "C" fn step(_index: u64, argument: *mut Argument) -> i64 {
    // SAFETY: `bpf_loop` passes on the pointer to the `Argument` of `decide`, whose `scratch` is this CPU's element.
    let scratch = unsafe { &mut *(*argument).scratch };
    match scratch.scan.step(&scratch.message) {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(decision) => {
            scratch.decision = decision as u32;
            1
        }
    }
}

/// Returns whether the datagram of the current message may hold another message, after the scan has found a new
/// request.
#[inline(always)]
pub(crate) fn may_hold_several(scratch: &mut Scratch) -> bool {
    let headers_end = scratch.scan.headers_end();
    let body = body_len(&scratch.message, headers_end, scratch.packet().length());
    if body == 0 {
        return false;
    }
    scratch.body_scan.restart(headers_end);
    scratch.announced = 0;
    let scratch: *mut Scratch = scratch;
    let mut argument = Argument { scratch };
    // SAFETY: as in `decide`. If the helper fails, no length has been announced.
    unsafe { bpf_loop(MAX_BODY_STEPS, body_step as *mut c_void, (&raw mut argument).cast(), 0) };
    // SAFETY: as in `decide`.
    unsafe { (*scratch).announced < body }
}

/// Runs one step of the search for Content-Length. The callback of `bpf_loop`.
unsafe extern "C" fn body_step(_index: u64, argument: *mut Argument) -> i64 {
    // SAFETY: as in `step`.
    let scratch = unsafe { &mut *(*argument).scratch };
    match scratch.body_scan.step(&scratch.message) {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(announced) => {
            scratch.announced = announced.unwrap_or(0);
            1
        }
    }
}
