//! The cost of the XDP program to the verifier of the running kernel.

use filter_user::domain::Shielded;

use crate::rig::load;

/// The emulated machines of `cargo xtask kernels` run this test by its name and read the line that it prints: the
/// number is compared with the one recorded for the kernel.
#[test]
fn the_program_is_verified_with_room_to_spare() {
    let (_, instructions) = load(1024, &Shielded::Local).info().expect("read struct bpf_prog_info of the program");
    // `verified_insns` in `struct bpf_prog_info`, since Linux 5.16.
    let instructions = instructions.expect("the kernel reports the number of verified instructions (Linux 5.16)");
    println!("verified instructions: {instructions}");
    // The verifier gives up at one million (BPF_COMPLEXITY_LIMIT_INSNS in kernel/bpf/verifier.c).
    assert!((1..500_000).contains(&instructions), "{instructions} instructions");
}
