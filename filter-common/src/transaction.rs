//! Identifying a transaction by a hash of its request and by the request's source.

use crate::sip::Message;

/// Maximum number of bytes, from the beginning of a message, that the hash covers.
///
/// Retransmissions are identical (RFC 3261 section 17.1.1.2). Transactions differ in the branch of the topmost Via,
/// which is within these bytes in all but odd messages.
pub const HASHED_BYTES: u32 = 512;

/// Number of bytes that the hash consumes at a time.
pub const HASHED_BLOCK: u32 = 32;

/// Returns the hash of a message of `length` bytes, over its first [`HASHED_BYTES`].
///
/// The hash multiplies and folds, eight bytes at a time. That is good enough to tell the requests of one source apart,
/// and to spread them evenly for [`is_refused`]. It has four lanes, since a multiplication does not wait for those of
/// other lanes. Bytes of the last block beyond the message have to be zero.
///
/// `seed` is secret, so that nobody can compute the hash of a request. A sender that controls two messages can still
/// construct a collision: flipping the highest bit of a word is cancelled by two bits of the next word in its lane.
/// Only calls from one address and port can share a fate that way ([`identity`]).
#[inline(always)]
pub fn transaction_hash<M: Message + ?Sized>(message: &M, length: u32, seed: u64) -> u64 {
    let seed = seed ^ u64::from(length);
    let mut lanes = [seed, !seed, seed.swap_bytes(), !seed.swap_bytes()];
    for block in 0..HASHED_BYTES / HASHED_BLOCK {
        let offset = block * HASHED_BLOCK;
        if offset >= length {
            break;
        }
        for (lane, hash) in (0_u32..).zip(&mut lanes) {
            *hash = fold(*hash ^ message.word(offset + 8 * lane));
        }
    }
    lanes.into_iter().fold(seed, |hash, lane| fold(hash ^ lane))
}

/// Returns the identity that an INVITE and its retransmissions have in common, and no other transaction.
///
/// `hash` is the [`transaction_hash`] of the message. `source` is its source address as IPv6, in network byte order, in
/// two words; `port` is its source port. Guessing the identity of another call, to share its fate, succeeds once in
/// 2^53 with the default number of transactions.
#[inline(always)]
pub const fn identity(hash: u64, source: [u64; 2], port: u16) -> u64 {
    fold(fold(fold(hash ^ source[0]) ^ source[1]) ^ port as u64)
}

/// Runs one round of the hash (the finalizer of `MurmurHash3`, shortened).
#[inline(always)]
const fn fold(word: u64) -> u64 {
    let word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^ (word >> 32)
}

/// Returns whether the transaction with this hash is in the share, in percent, that is refused.
#[inline(always)]
pub const fn is_refused(hash: u64, percent: u32) -> bool {
    ((hash >> 32) * 100) >> 32 < percent as u64
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{identity, is_refused, transaction_hash};
    use std::collections::HashSet;
    use std::format;

    fn hash(text: &str) -> u64 {
        transaction_hash(text.as_bytes(), text.len() as u32, 0x1234_5678_9abc_def0)
    }

    fn invite(number: u32) -> std::string::String {
        format!("INVITE sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;branch=z9hG4bK{number};rport\r\n")
    }

    #[test]
    fn different_branches_have_different_hashes() {
        let hashes: HashSet<u64> = (0..100_000).map(|number| hash(&invite(number))).collect();
        assert_eq!(hashes.len(), 100_000);
    }

    #[test]
    fn the_hash_depends_on_length_and_seed() {
        assert_ne!(hash("INVITE"), hash("INVITE\0"));
        let seeded = |seed| transaction_hash(b"INVITE sip:bob@b".as_slice(), 16, seed);
        assert_ne!(seeded(1), seeded(2));
    }

    #[test]
    fn the_same_request_from_another_source_is_another_transaction() {
        let mut identities = HashSet::new();
        for address in 0..100 {
            for port in 5000..5100 {
                assert!(identities.insert(identity(1, [0, (address << 32) | 0xffff_0000], port)), "{address} {port}");
                assert!(identities.insert(identity(1, [address + 1, 0], port)), "{address} {port}");
            }
        }
        assert!(identities.insert(identity(2, [0, 0xffff_0000], 5000)), "another request");
    }

    #[test]
    fn identities_are_spread_evenly_over_buckets() {
        let mut buckets = [0_u32; 1024];
        for number in 0..4096 {
            buckets[identity(hash(&invite(number)), [0, 0xffff_0000], 5060) as usize % buckets.len()] += 1;
        }
        // Four in a bucket on average: by chance, one bucket in 10 000 has more than thirteen.
        assert!(buckets.iter().all(|count| *count < 16), "{:?}", buckets.iter().max());
        let empty = buckets.iter().filter(|count| **count == 0).count();
        assert!(empty < 40, "{empty} of 1024 are empty, expected are e^-4 of them");
    }

    #[test]
    fn the_refused_share_is_that_of_the_policy() {
        for percent in [0, 1, 10, 30, 50, 99, 100] {
            let refused = (0..10_000).filter(|number| is_refused(hash(&invite(*number)), percent)).count();
            let share = refused as f64 / 100.0;
            assert!((share - f64::from(percent)).abs() < 1.5, "{share} % instead of {percent} %");
            if percent % 100 == 0 {
                assert_eq!(refused, percent as usize * 100);
            }
        }
    }
}
