//! The packet path allocates nothing.

#[expect(dead_code, reason = "this test only builds frames, and reads none")]
#[path = "respond/wire.rs"]
mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use filter_reply::{Refusal, ReplyTemplate, TagSecret, Unanswered, answer};

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: both methods hand on to `System` what they were given, and a `Cell` in thread-local storage that is
// initialised by a constant allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` makes in this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn an_answer_costs_no_allocation() {
    assert_ne!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 0, "the counter counts");

    let refusal = Refusal {
        code: 503.try_into().unwrap(),
        reason: "Maintenance".parse().unwrap(),
        retry_after: 30.try_into().unwrap(),
    };
    let template = ReplyTemplate::new(&refusal, &TagSecret { prefix: *b"sf0test.", key: [7; 16] }).expect("a template");
    let headers = "From: \"A\" <sip:a@a>;tag=f\r\nTo: <sip:b@b>;tag=\r\nCall-ID: c@a\r\nCSeq: 1 INVITE\r\n\r\n";
    let mut out = vec![0; 4096];
    for via in ["h;rport", "[2001:db8::1];received=1.2.3.4 , SIP/2.0/UDP i", "198.18.0.1:0", ";"] {
        let message = format!("INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\n{headers}");
        for sender in [wire::Sender::default(), wire::Sender::ipv6()] {
            let frame = sender.frame(message.as_bytes());
            let mut reply = Err(Unanswered::Unreadable);
            let count = allocations(|| reply = answer(&frame, 1500, &mut out, &template));
            assert_eq!(count, 0, "{via}");
            assert_eq!(reply.is_err(), [";", "198.18.0.1:0"].contains(&via), "{via}: {reply:?}");
        }
    }
}
