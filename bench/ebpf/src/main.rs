//! XDP programs of the benchmarks: floors and limits to compare the product's program with, a load generator, and a
//! counter of what comes back.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main)]

mod count;
mod distinct;
mod generate;
mod headers;
mod layout;
mod number;
mod pass;
mod reflect;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never runs: the verifier rejects an infinite loop, so a program in which a panic is reachable does not load.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The license. The kernel offers some helpers to GPL-compatible programs only.
#[expect(unsafe_code, reason = "the kernel finds the license by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
