//! Test that the packet path does not allocate.

#![cfg(test)]
#![expect(unsafe_code, reason = "an allocator that counts is an implementation of an unsafe trait")]

#[expect(dead_code, reason = "this test builds frames, but parses none")]
#[path = "respond/wire.rs"]
mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use filter_reply::{Refusal, ResponseTemplate, TagSecret, Unanswered, respond};

/// The system's allocator, which also counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: both methods only forward to `System`. A thread-local `Cell` with a constant initial value does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`, which is that of `System.alloc` too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations by `work` in this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn responding_does_not_allocate() {
    assert_ne!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 0, "the allocator does not count");

    let template = ResponseTemplate::new(&Refusal::default(), &TagSecret::from_random(&[7; 24]));
    let headers = "From: \"A\" <sip:a@a>;tag=f\r\nTo: <sip:b@b>;tag=\r\nCall-ID: c@a\r\nCSeq: 1 INVITE\r\n\r\n";
    let mut out = vec![0; 4096];
    for via in ["h;rport", "[2001:db8::1];received=1.2.3.4 , SIP/2.0/UDP i", "198.18.0.1:0;;x=<a>", ";"] {
        let message = format!("INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\n{headers}");
        for sender in [wire::Sender::default(), wire::Sender::ipv6()] {
            let frame = sender.frame(message.as_bytes());
            let mut response = Err(Unanswered::Unreadable);
            let count = allocations(|| response = respond(&frame, 1500, &mut out, &template));
            assert_eq!(count, 0, "{via}");
            assert_eq!(response.is_err(), via == ";", "{via}: {response:?}");
        }
    }
}
