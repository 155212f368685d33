//! What is remembered of a transaction: a slot of eight octets, in a bucket that is one line of the CPU's cache.
//!
//! A hash table that looks into one bucket only and forgets the oldest of it when it is full. It is written this way, and not
//! taken from the kernel, because an LRU hash takes 0.9 µs more for each new call, and fifteen times the memory
//! (`docs/benchmarks.md`).

use core::cell::UnsafeCell;

use crate::maps::TRANSACTION_NS;

/// How many transactions a bucket remembers: as many slots as a cache line of 64 octets holds.
pub const SLOTS: usize = 8;

/// The lower bits of a slot are the time, those above them tell transactions apart.
const TIME_BITS: u32 = 24;
const TIME: u64 = (1 << TIME_BITS) - 1;
/// A tick of that time has 2^26 ns, 67 ms. Time comes round after 13 days; that a slot of then is taken for one of now also
/// takes the same transaction, or the same 40 bits.
const TICK_BITS: u32 = 26;
/// For how many ticks a transaction is remembered: 32 s at least, and at most two ticks more.
const TICKS: u64 = TRANSACTION_NS.div_ceil(1 << TICK_BITS);

/// Some transactions that have the lower bits of their [`identity`](crate::transaction::identity) in common. All zeros is an
/// empty one.
///
/// Several CPUs may read and write it at the same time, each a slot at once: then a transaction may be lost, or stand there
/// twice. That takes two new calls whose identities share the lower bits, within nanoseconds.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Bucket {
    slots: [Slot; SLOTS],
}

/// A slot, as other CPUs may read and write it meanwhile. Not an `AtomicU64`, for which LLVM has no BPF instructions.
#[repr(transparent)]
#[derive(Debug, Default)]
struct Slot(UnsafeCell<u64>);

// SAFETY: it is only accessed by `load` and `store`.
unsafe impl Sync for Slot {}

impl Slot {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: the pointer is valid and aligned. Volatile: one access to eight octets, which no CPU that runs the program
        // tears, so that it is what someone has written.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline(always)]
    fn store(&self, value: u64) {
        // SAFETY: as above; there is no reference to what is in the cell.
        unsafe { self.0.get().write_volatile(value) };
    }
}

impl Bucket {
    /// Whether the transaction was remembered in the 32 s before `now` (nanoseconds of `CLOCK_MONOTONIC`).
    #[inline(always)]
    pub fn holds(&self, identity: u64, now: u64) -> bool {
        self.slots.iter().any(|slot| {
            let slot = slot.load();
            is_of(slot, identity) && age(slot, now) <= TICKS
        })
    }

    /// Remembers the transaction from its first INVITE on: the ones that follow do not make it longer.
    ///
    /// Slots stand in the order of their times, and all move on by one. To look for the oldest and to write only there would be
    /// branches that no CPU can predict.
    #[inline(always)]
    pub fn remember(&self, identity: u64, now: u64) {
        if self.holds(identity, now) {
            return;
        }
        for index in (1..SLOTS).rev() {
            self.slots[index].store(self.slots[index - 1].load());
        }
        self.slots[0].store(slot(identity, now));
    }
}

/// The slot of a transaction that is remembered at `now`.
const fn slot(identity: u64, now: u64) -> u64 {
    identity & !TIME | now >> TICK_BITS & TIME
}

/// Whether a slot is of this transaction, or of one of its 2^40th part of all others.
const fn is_of(slot: u64, identity: u64) -> bool {
    (slot ^ identity) >> TIME_BITS == 0
}

/// How many ticks ago a slot was written.
const fn age(slot: u64, now: u64) -> u64 {
    (now >> TICK_BITS).wrapping_sub(slot) & TIME
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{Bucket, SLOTS, TICK_BITS, TIME_BITS};

    const SECOND: u64 = 1_000_000_000;
    /// A time in the middle of a tick, three days after the machine was started.
    const NOW: u64 = 3 * 86_400 * SECOND;

    /// Transactions that share a bucket.
    fn identity(number: u64) -> u64 {
        (number + 1) << TIME_BITS
    }

    #[test]
    fn it_is_remembered_for_32_s_and_hardly_longer() {
        for begin in [NOW, NOW + (1 << TICK_BITS) / 2, NOW + (1 << TICK_BITS) - 1, (1 << 50) - SECOND] {
            let bucket = Bucket::default();
            assert!(!bucket.holds(identity(0), begin));
            bucket.remember(identity(0), begin);
            assert!(bucket.holds(identity(0), begin));
            assert!(bucket.holds(identity(0), begin + 32 * SECOND));
            assert!(!bucket.holds(identity(0), begin + 32 * SECOND + (2 << TICK_BITS)));
        }
    }

    #[test]
    fn one_that_comes_again_is_not_remembered_longer() {
        let bucket = Bucket::default();
        bucket.remember(identity(0), NOW);
        bucket.remember(identity(0), NOW + 31 * SECOND);
        assert!(!bucket.holds(identity(0), NOW + 33 * SECOND));
        bucket.remember(identity(0), NOW + 33 * SECOND);
        assert!(bucket.holds(identity(0), NOW + 60 * SECOND));
    }

    #[test]
    fn a_full_bucket_forgets_the_oldest() {
        let bucket = Bucket::default();
        let count = SLOTS as u64 + 3;
        for number in 0..count {
            bucket.remember(identity(number), NOW + number * SECOND);
        }
        let end = NOW + count * SECOND;
        let held: Vec<u64> = (0..count).filter(|number| bucket.holds(identity(*number), end)).collect();
        assert_eq!(held, (3..count).collect::<Vec<_>>());
    }
}
