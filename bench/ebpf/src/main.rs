//! The XDP programs of the benchmarks: what the product's is compared with, what makes its load, what counts its answers.
#![allow(missing_docs, reason = "the `xdp` macro writes a function without")]
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
    // A loop without an end: the verifier refuses the program if a panic can be reached at all.
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The kernel lets only GPL-compatible programs call some helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
