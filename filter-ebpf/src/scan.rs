//! Drives the scan of `filter-common` over the message at hand.

use core::ops::ControlFlow;

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_loop;
use filter_common::sip::Decision;

use crate::scratch::{BUFFER, Scratch};

/// A scan takes fewer turns than three for each octet ([`Scan::turn`](filter_common::sip::Scan::turn)).
const MAX_TURNS: u32 = 3 * BUFFER as u32;

// Decisions as numbers.
const UNDECIDED: u32 = 0;
const NEW: u32 = 1;
const IN_DIALOG: u32 = 2;
const EMERGENCY: u32 = 3;
const REPLACES: u32 = 4;

/// What `turn` works on, on the stack, as `bpf_loop` wants it.
struct Turns {
    scratch: *mut Scratch,
}

/// Decides on the message at hand, whose method and the space after it have `name` octets.
#[inline(always)]
pub fn decide(scratch: &mut Scratch, name: u32) -> Decision {
    scratch.scan.begin(name, scratch.packet().length);
    scratch.decision = UNDECIDED;
    let scratch: *mut Scratch = scratch;
    let mut turns = Turns { scratch };
    // SAFETY: `turn` has the signature that bpf_loop calls (`long (u32 index, void *ctx)`), and `turns` outlives the call.
    // Should the helper fail, there is no decision.
    unsafe { bpf_loop(MAX_TURNS, turn as *mut c_void, (&raw mut turns).cast(), 0) };
    // SAFETY: the pointer was made of a reference that is not used meanwhile, and `turn` runs no more.
    match unsafe { (*scratch).decision } {
        NEW => Decision::New,
        IN_DIALOG => Decision::InDialog,
        EMERGENCY => Decision::Emergency,
        REPLACES => Decision::Replaces,
        _ => Decision::Undecided,
    }
}

/// One turn of the scan; the callback of `bpf_loop`, where 1 ends the loop.
unsafe extern "C" fn turn(_index: u64, turns: *mut Turns) -> i64 {
    // SAFETY: `bpf_loop` passes on the pointer that `decide` gave it, to a `Turns` whose `scratch` is this CPU's element.
    let scratch = unsafe { &mut *(*turns).scratch };
    let ControlFlow::Break(decision) = scratch.scan.turn(&scratch.message) else {
        return 0;
    };
    scratch.decision = match decision {
        Decision::New => NEW,
        Decision::InDialog => IN_DIALOG,
        Decision::Emergency => EMERGENCY,
        Decision::Replaces => REPLACES,
        Decision::Undecided => UNDECIDED,
    };
    1
}
