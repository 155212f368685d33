//! A cache of transactions: a slot of eight bytes for each, in buckets of one CPU cache line.
//!
//! A lookup reads one bucket, and a full bucket evicts its oldest transaction. The kernel's LRU hash would do the same,
//! but costs 0.9 µs more for each new call and takes fifteen times the memory (`docs/benchmarks.md`).

use crate::maps::TRANSACTION_NS;

/// Number of transactions in a bucket: as many slots as a cache line of 64 bytes holds.
pub const SLOTS: usize = 8;

/// Number of low bits of a slot that hold the time of insertion. The others distinguish transactions.
const TIME_BITS: u32 = 24;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// A tick, the unit of that time, is 2^26 ns, or 67 ms.
///
/// The tick counter wraps after 13 days. A stale slot is mistaken for a fresh one only if its 40 identity bits match as
/// well.
const TICK_BITS: u32 = 26;
/// Number of ticks for which a transaction is remembered: at least 32 s, and at most two ticks more.
const LIFETIME_TICKS: u64 = TRANSACTION_NS.div_ceil(1 << TICK_BITS);

/// The transactions whose [`identity`](crate::transaction::identity) ends in the same bits. All zeros is an empty
/// bucket.
///
/// Several CPUs may read and write a bucket at the same time, each one slot at a time. Then a transaction may be lost
/// or be in two slots, but only if two new calls reach one bucket within nanoseconds.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Bucket {
    slots: [Slot; SLOTS],
}

impl Bucket {
    /// Returns whether the transaction was inserted in the 32 s before `now` (nanoseconds of `CLOCK_MONOTONIC`).
    #[inline(always)]
    pub fn contains(&self, identity: u64, now: u64) -> bool {
        self.slots.iter().any(|slot| {
            let slot = slot.load();
            is_same_transaction(slot, identity) && age(slot, now) <= LIFETIME_TICKS
        })
    }

    /// Inserts the transaction, unless the bucket contains it: a retransmission does not prolong its lifetime.
    ///
    /// Slots are in order of insertion, and an insertion moves them all. Finding the oldest and writing only there
    /// would take branches that a CPU cannot predict.
    #[inline(always)]
    pub fn insert(&self, identity: u64, now: u64) {
        if self.contains(identity, now) {
            return;
        }
        for [newer, older] in self.slots.array_windows().rev() {
            older.store(newer.load());
        }
        self.slots[0].store(new_slot(identity, now));
    }
}

/// Returns the slot of a transaction that is inserted at `now`.
const fn new_slot(identity: u64, now: u64) -> u64 {
    (identity & !TIME_MASK) | ((now >> TICK_BITS) & TIME_MASK)
}

/// Returns whether a slot belongs to the transaction. One in 2^40 of all others is mistaken for it.
const fn is_same_transaction(slot: u64, identity: u64) -> bool {
    (slot ^ identity) >> TIME_BITS == 0
}

/// Returns the number of ticks since the slot was written.
const fn age(slot: u64, now: u64) -> u64 {
    (now >> TICK_BITS).wrapping_sub(slot) & TIME_MASK
}

#[cfg(target_arch = "bpf")]
use volatile::Slot;

#[cfg(not(target_arch = "bpf"))]
use atomic::Slot;

/// The slot for BPF, for which LLVM cannot compile an `AtomicU64`.
#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "volatile accesses by pointer")]
mod volatile {
    use core::cell::UnsafeCell;

    #[repr(transparent)]
    #[derive(Debug, Default)]
    pub(super) struct Slot(UnsafeCell<u64>);

    // SAFETY: `load` and `store` are the only accesses. Each compiles to one BPF instruction on eight aligned bytes,
    // which the kernel defines as it does `READ_ONCE` and `WRITE_ONCE`: CPUs that race see one of the values stored.
    // That holds for BPF only; in Rust's memory model a race of volatile accesses is undefined.
    unsafe impl Sync for Slot {}

    impl Slot {
        #[inline(always)]
        pub(super) fn load(&self) -> u64 {
            // SAFETY: the pointer comes from a reference, so it is valid and aligned.
            unsafe { self.0.get().read_volatile() }
        }

        #[inline(always)]
        pub(super) fn store(&self, value: u64) {
            // SAFETY: as in `load`; there is never a reference to the contents of the cell.
            unsafe { self.0.get().write_volatile(value) };
        }
    }
}

/// The slot for the host.
#[cfg(not(target_arch = "bpf"))]
mod atomic {
    use core::sync::atomic::AtomicU64;
    use core::sync::atomic::Ordering::Relaxed;

    #[repr(transparent)]
    #[derive(Debug, Default)]
    pub(super) struct Slot(AtomicU64);

    impl Slot {
        pub(super) fn load(&self) -> u64 {
            self.0.load(Relaxed)
        }

        pub(super) fn store(&self, value: u64) {
            self.0.store(value, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{Bucket, SLOTS, TICK_BITS, TIME_BITS};

    const SECOND: u64 = 1_000_000_000;
    /// A time in the middle of a tick, three days after boot.
    const NOW: u64 = 3 * 86_400 * SECOND;

    /// Returns the identity of the transaction with a number. All of them are in one bucket.
    fn identity(number: u64) -> u64 {
        (number + 1) << TIME_BITS
    }

    #[test]
    fn a_transaction_is_remembered_for_32_s_and_two_ticks_at_most() {
        for begin in [NOW, NOW + (1 << TICK_BITS) / 2, NOW + (1 << TICK_BITS) - 1, (1 << 50) - SECOND] {
            let bucket = Bucket::default();
            assert!(!bucket.contains(identity(0), begin));
            bucket.insert(identity(0), begin);
            assert!(bucket.contains(identity(0), begin));
            assert!(bucket.contains(identity(0), begin + 32 * SECOND));
            assert!(!bucket.contains(identity(0), begin + 32 * SECOND + (2 << TICK_BITS)));
        }
    }

    #[test]
    fn a_retransmission_does_not_prolong_a_transaction() {
        let bucket = Bucket::default();
        bucket.insert(identity(0), NOW);
        bucket.insert(identity(0), NOW + 31 * SECOND);
        assert!(!bucket.contains(identity(0), NOW + 33 * SECOND));
        bucket.insert(identity(0), NOW + 33 * SECOND);
        assert!(bucket.contains(identity(0), NOW + 60 * SECOND));
    }

    #[test]
    fn a_full_bucket_evicts_the_oldest_transaction() {
        let bucket = Bucket::default();
        let count = SLOTS as u64 + 3;
        for number in 0..count {
            bucket.insert(identity(number), NOW + number * SECOND);
        }
        let end = NOW + count * SECOND;
        let held: Vec<u64> = (0..count).filter(|number| bucket.contains(identity(*number), end)).collect();
        assert_eq!(held, (3..count).collect::<Vec<_>>());
    }
}
