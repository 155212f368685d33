//! A copy of an input that ends at unmapped memory, so that a read past its end is a crash.
//!
//! Unlike AddressSanitizer, this works with any toolchain. It suffices because the only unsafe code under test compares
//! bytes in registers (`lanes` of the responder) and reads no memory itself.
#![expect(unsafe_code, reason = "a memory mapping, and references into it")]

use std::ptr;
use std::sync::{LazyLock, Mutex};

/// Maximum length of an input in bytes. A UDP datagram has at most 64 KiB, and a frame with one is hardly longer.
const MAX_INPUT: usize = 128 * 1024;
/// Length of the guard in bytes: at least a page on every machine.
const GUARD: usize = 64 * 1024;

/// Address of the mapping: [`MAX_INPUT`] bytes that are readable, then [`GUARD`] bytes that are not.
static MAPPING: LazyLock<Mutex<usize>> = LazyLock::new(|| Mutex::new(map()));

/// Calls `read` with a copy of `input`. Memory behind the last byte of the copy cannot be read.
///
/// # Panics
///
/// If the kernel provides no memory, if `input` is longer than 128 KiB, or if `read` calls this function again: there
/// is only one mapping.
pub fn with_guarded_copy<R>(input: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    let mapping = MAPPING.try_lock().expect("one guarded copy at a time");
    let at = *mapping + MAX_INPUT.checked_sub(input.len()).expect("an input has at most 128 KiB");
    // SAFETY: `at..at + input.len()` is within the readable part of the mapping, which is never unmapped. The lock is
    // held until `read` has returned, so this is the only reference into the mapping.
    let copy = unsafe { std::slice::from_raw_parts_mut(at as *mut u8, input.len()) };
    copy.copy_from_slice(input);
    read(copy)
}

/// Creates the mapping and returns its address.
fn map() -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping at an address that the kernel chooses does not affect existing memory.
    let mapping = unsafe { libc::mmap(ptr::null_mut(), MAX_INPUT + GUARD, access, flags, -1, 0) };
    assert_ne!(mapping, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // SAFETY: the range is the end of the mapping created above, to which there is no reference yet.
    let protected = unsafe { libc::mprotect(mapping.byte_add(MAX_INPUT), GUARD, libc::PROT_NONE) };
    assert_eq!(protected, 0, "mprotect: {}", std::io::Error::last_os_error());
    mapping as usize
}
