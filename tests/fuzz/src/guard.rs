//! Memory that ends where an input ends, so that a read behind it is a crash.
//!
//! It does what AddressSanitizer would be here for, and works with every toolchain: the only code under test that is
//! not safe Rust compares octets that are in registers (`responder::lanes`), and reads no memory itself.

use std::ptr;
use std::sync::OnceLock;

/// The longest input: no UDP datagram is longer, and no frame that holds one by much.
const ROOM: usize = 128 * 1024;
/// At least a page, on every machine.
const GUARD: usize = 64 * 1024;

/// Where the readable part begins.
static START: OnceLock<usize> = OnceLock::new();

/// Calls `read` with a copy of `octets`, behind whose last octet there is nothing that can be read.
///
/// One at a time: there is only one such place.
///
/// # Panics
///
/// If the kernel gives no memory, or `octets` is longer than 128 KiB.
pub fn at_the_edge<R>(octets: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    let start = *START.get_or_init(map);
    let at = start + ROOM.checked_sub(octets.len()).expect("an input that a datagram can hold");
    // SAFETY: `at..at + octets.len()` is within the readable part of the mapping, which lasts as long as the process;
    // libFuzzer calls its target in one thread, one input after the other.
    let copy = unsafe { std::slice::from_raw_parts_mut(at as *mut u8, octets.len()) };
    copy.copy_from_slice(octets);
    read(copy)
}

fn map() -> usize {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, where the kernel likes it; no memory of anybody is concerned.
    let start = unsafe { libc::mmap(ptr::null_mut(), ROOM + GUARD, access, private, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // SAFETY: the mapping from above, whose last part nobody has a reference to.
    let protected = unsafe { libc::mprotect(start.byte_add(ROOM), GUARD, libc::PROT_NONE) };
    assert_eq!(protected, 0, "mprotect: {}", std::io::Error::last_os_error());
    start as usize
}
