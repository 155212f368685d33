//! A prefix for a measured program that turns each frame into another call, so that `BPF_PROG_TEST_RUN` repeats none.
#![expect(unsafe_code, reason = "a helper, a tail call, and a map element lent as a reference")]

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::helpers::generated::bpf_xdp_store_bytes;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::XdpContext;

use crate::generate::TEMPLATE;
use crate::number::digits;

/// The measured program, at index 0.
#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Writes the next number into the frame and continues in the program in [`NEXT`].
///
/// Has `frags` like the product's program, because a program array holds programs of one kind only.
#[xdp(frags)]
fn distinct(ctx: XdpContext) -> u32 {
    let Some(template) = TEMPLATE.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: the program runs in one thread, and nothing else accesses the map meanwhile.
    let template = unsafe { &mut *template };
    template.number = template.number.wrapping_add(1);
    let mut digits = digits(template.number);
    for place in &template.places {
        // SAFETY: the context is the kernel's, and `digits` has eight bytes.
        let stored = unsafe { bpf_xdp_store_bytes(ctx.ctx, *place, (&raw mut digits).cast(), 8) };
        if stored != 0 {
            return XDP_ABORTED;
        }
    }
    // SAFETY: a tail call does not return, and nothing here needs to be dropped.
    unsafe { NEXT.tail_call(&ctx, 0) };
    XDP_ABORTED
}
