//! Makes a new call of the frame, and goes on to another program: so that `BPF_PROG_TEST_RUN` repeats no call.

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::helpers::generated::bpf_xdp_store_bytes;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::XdpContext;

use crate::generate::TEMPLATE;
use crate::layout::PLACES;
use crate::number::digits;

#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// With `frags`, as the product's program, since a program array holds only one kind.
#[xdp(frags)]
pub fn distinct(ctx: XdpContext) -> u32 {
    let Some(template) = TEMPLATE.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: one thread runs the program, and nobody else writes the map meanwhile.
    let template = unsafe { &mut *template };
    template.number = template.number.wrapping_add(1);
    let mut digits = digits(template.number);
    for place in 0..PLACES {
        // SAFETY: the context is the kernel's, and `digits` has eight octets.
        let stored = unsafe { bpf_xdp_store_bytes(ctx.ctx, template.places[place], (&raw mut digits).cast(), 8) };
        if stored != 0 {
            return XDP_ABORTED;
        }
    }
    // SAFETY: nothing here needs to be dropped.
    unsafe { NEXT.tail_call(&ctx, 0) };
    XDP_ABORTED
}
