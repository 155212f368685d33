//! The memory of INVITEs, so that one that is sent again gets the same answer (RFC 3261 sections 8.2.7 and 16.11).

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use filter_common::maps::DEFAULT_TRANSACTIONS;
use filter_common::memory::{Bucket, SLOTS};
use filter_common::transaction::{identity, transaction_hash};

use crate::scratch::Scratch;

const DEFAULT_BUCKETS: u32 = DEFAULT_TRANSACTIONS / SLOTS as u32;

// Nobody maps them. But an array that can be mapped begins at a page (`array_map_alloc()` in `kernel/bpf/arraymap.c`), so
// that each bucket is one line of the cache and not parts of two.
#[map(name = "PASSED")]
static PASSED_MAP: Array<Bucket> = Array::with_max_entries(DEFAULT_BUCKETS, BPF_F_MMAPABLE);

#[map(name = "REFUSED")]
static REFUSED_MAP: Array<Bucket> = Array::with_max_entries(DEFAULT_BUCKETS, BPF_F_MMAPABLE);

#[unsafe(no_mangle)]
static HASH_SEED: Global<u64> = Global::new(0);

#[unsafe(no_mangle)]
static BUCKET_MASK: Global<u32> = Global::new(DEFAULT_BUCKETS - 1);

/// INVITEs that passed.
pub const PASSED: Memory = Memory(&PASSED_MAP);
/// INVITEs that were refused.
pub const REFUSED: Memory = Memory(&REFUSED_MAP);

/// One INVITE and its retransmissions: the same octets from the same source.
pub struct Transaction {
    /// The hash of its octets, by which the share is drawn that is refused: the same on all hosts of a cluster.
    pub hash: u64,
    identity: u64,
}

impl Transaction {
    /// The transaction of the message at hand.
    #[inline(always)]
    pub fn of(scratch: &Scratch) -> Self {
        let hash = transaction_hash(&scratch.message, scratch.packet().length, HASH_SEED.load());
        let source = scratch.source();
        Self { hash, identity: identity(hash, source.address, source.port) }
    }
}

/// What is remembered of one kind of INVITE, for 32 s each.
pub struct Memory(&'static Array<Bucket>);

impl Memory {
    /// Whether the transaction was remembered less than 32 s before `now`.
    #[inline(always)]
    pub fn holds(&self, transaction: &Transaction, now: u64) -> bool {
        self.bucket(transaction).is_some_and(|bucket| bucket.holds(transaction.identity, now))
    }

    /// Remembers the transaction, from its first INVITE on: the ones that follow do not make it longer.
    #[inline(always)]
    pub fn remember(&self, transaction: &Transaction, now: u64) {
        if let Some(bucket) = self.bucket(transaction) {
            bucket.remember(transaction.identity, now);
        }
    }

    #[inline(always)]
    fn bucket(&self, transaction: &Transaction) -> Option<&'static Bucket> {
        self.0.get(transaction.identity as u32 & BUCKET_MASK.load())
    }
}
