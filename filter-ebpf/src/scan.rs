//! Runs the scan of `filter-common` over the current message.
#![expect(unsafe_code, reason = "`bpf_loop` takes a callback and its argument as raw pointers")]

use core::ops::ControlFlow;

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_loop;
use filter_common::sip::Decision;

use crate::scratch::{BUFFER, Scratch};

/// Maximum number of steps: a scan takes less than three for each byte
/// ([`Scan::step`](filter_common::sip::Scan::step)).
const MAX_STEPS: u32 = 3 * BUFFER as u32;

/// The argument of [`step`]. It is on the stack, where `bpf_loop` requires it.
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
