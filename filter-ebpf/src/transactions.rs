//! The transactions of INVITEs seen before, so that a retransmission is treated as the first INVITE was (RFC 3261
//! sections 8.2.7 and 16.11).
#![expect(unsafe_code, reason = "the daemon finds the globals by their symbols")]

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use filter_common::maps::DEFAULT_TRANSACTIONS;
use filter_common::transaction::{identity, transaction_hash};
use filter_common::transaction_cache::{Bucket, SLOTS};

use crate::scratch::Scratch;

const DEFAULT_BUCKETS: u32 = DEFAULT_TRANSACTIONS / SLOTS as u32;

// The maps are mappable, although nothing maps them, so that their memory begins at a page (`array_map_alloc()` in
// `kernel/bpf/arraymap.c`). Then each bucket is one cache line, and not parts of two.
#[map(name = "PASSED")]
static PASSED_MAP: Array<Bucket> = Array::with_max_entries(DEFAULT_BUCKETS, BPF_F_MMAPABLE);

#[map(name = "REFUSED")]
static REFUSED_MAP: Array<Bucket> = Array::with_max_entries(DEFAULT_BUCKETS, BPF_F_MMAPABLE);

#[unsafe(no_mangle)]
static HASH_SEED: Global<u64> = Global::new(0);

#[unsafe(no_mangle)]
static BUCKET_MASK: Global<u32> = Global::new(DEFAULT_BUCKETS - 1);

/// The transactions of INVITEs that passed.
pub(crate) const PASSED: TransactionCache = TransactionCache(&PASSED_MAP);
/// The transactions of INVITEs that were refused.
pub(crate) const REFUSED: TransactionCache = TransactionCache(&REFUSED_MAP);

/// An INVITE and its retransmissions: the same bytes from the same source.
pub(crate) struct Transaction {
    hash: u64,
    identity: u64,
}

impl Transaction {
    /// Computes the transaction of the current message.
    #[inline(always)]
    pub(crate) fn new(scratch: &Scratch) -> Self {
        let hash = transaction_hash(&scratch.message, scratch.packet().length(), HASH_SEED.load());
        let endpoints = scratch.endpoints();
        Self { hash, identity: identity(hash, endpoints.flow().source(), endpoints.source_port()) }
    }

    /// Returns the hash of the message, which decides whether it is in the refused share: the same on all hosts of a
    /// cluster.
    #[inline(always)]
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

/// A cache of transactions, each of which it remembers for 32 s.
pub(crate) struct TransactionCache(&'static Array<Bucket>);

impl TransactionCache {
    /// Returns whether the transaction was inserted in the 32 s before `now`.
    #[inline(always)]
    pub(crate) fn contains(&self, transaction: &Transaction, now: u64) -> bool {
        self.bucket(transaction).is_some_and(|bucket| bucket.contains(transaction.identity, now))
    }

    /// Inserts the transaction, unless the cache contains it: a retransmission does not prolong its lifetime.
    #[inline(always)]
    pub(crate) fn insert(&self, transaction: &Transaction, now: u64) {
        if let Some(bucket) = self.bucket(transaction) {
            bucket.insert(transaction.identity, now);
        }
    }

    #[inline(always)]
    fn bucket(&self, transaction: &Transaction) -> Option<&'static Bucket> {
        self.0.get(transaction.identity as u32 & BUCKET_MASK.load())
    }
}
