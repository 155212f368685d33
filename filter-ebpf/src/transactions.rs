//! The memory of INVITEs, so that one that is sent again gets the same answer (RFC 3261 sections 8.2.7 and 16.11).

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use filter_common::maps::{DEFAULT_TRANSACTIONS, TRANSACTION_NS, TransactionKey};
use filter_common::transaction::transaction_hash;

use crate::scratch::Scratch;

#[map(name = "PASSED")]
static PASSED_MAP: LruHashMap<TransactionKey, u64> = LruHashMap::with_max_entries(DEFAULT_TRANSACTIONS, 0);

#[map(name = "REFUSED")]
static REFUSED_MAP: LruHashMap<TransactionKey, u64> = LruHashMap::with_max_entries(DEFAULT_TRANSACTIONS, 0);

#[unsafe(no_mangle)]
static HASH_SEED: Global<u64> = Global::new(0);

/// INVITEs that passed.
pub const PASSED: Memory = Memory(&PASSED_MAP);
/// INVITEs that were refused.
pub const REFUSED: Memory = Memory(&REFUSED_MAP);

/// What is remembered of one kind of INVITE, for 32 s each.
pub struct Memory(&'static LruHashMap<TransactionKey, u64>);

impl Memory {
    /// Whether the transaction was remembered less than 32 s before `now`.
    #[inline(always)]
    pub fn holds(&self, transaction: &TransactionKey, now: u64) -> bool {
        // SAFETY: an element that is evicted meanwhile may be given to another transaction, so that its time may be read:
        // both are times of INVITEs of the same kind and of the same minute, and an aligned u64 is read whole.
        unsafe { self.0.get(transaction) }.is_some_and(|until| now < *until)
    }

    /// Remembers the transaction, from its first INVITE on: the ones that follow do not make it longer.
    #[inline(always)]
    pub fn remember(&self, transaction: &TransactionKey, now: u64) {
        if !self.holds(transaction, now) {
            // A map that is busy may refuse; then this one is not remembered.
            let _ = self.0.insert(transaction, now + TRANSACTION_NS, 0);
        }
    }
}

/// The transaction of the message at hand: of an INVITE and its retransmissions.
#[inline(always)]
pub fn transaction(scratch: &Scratch) -> TransactionKey {
    let packet = scratch.packet();
    TransactionKey {
        source: packet.source,
        port: packet.port.into(),
        length: packet.length,
        hash: transaction_hash(&scratch.message, packet.length, HASH_SEED.load()),
    }
}
