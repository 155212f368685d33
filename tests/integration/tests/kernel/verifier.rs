//! What the verifier of this kernel has to say.

use crate::rig::load;

/// `cargo xtask kernels` reads the line that this prints, and compares it with what was recorded for the kernel.
#[test]
fn the_program_is_verified_with_room_to_spare() {
    let (_, instructions) = load(1024).info().expect("the kernel tells about a program");
    // The kernel tells since 5.16 (`verified_insns` in `struct bpf_prog_info`).
    let instructions = instructions.expect("a kernel that counts what it verified");
    println!("verified instructions: {instructions}");
    // It gives up at a million (BPF_COMPLEXITY_LIMIT_INSNS in kernel/bpf/verifier.c).
    assert!((1..500_000).contains(&instructions), "{instructions} instructions");
}
