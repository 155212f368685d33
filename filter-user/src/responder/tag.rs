//! Our To tag: a function of the request and of a secret, so that it is the same for a retransmission.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use super::request::Request;

/// The length of our tag: the prefix, and sixteen hexadecimal digits.
pub const TAG_LEN: usize = 24;

/// What makes our tags ours. All hosts of a cluster share it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TagSecret {
    /// How all our tags begin, by which the ACK to our response is recognised: octets of a token (RFC 3261 section 25.1).
    pub prefix: [u8; 8],
    /// The key of the hash: with it, tags could be foretold, so it stays secret.
    pub key: [u8; 16],
}

impl TagSecret {
    /// The seed of [`filter_common::transaction::transaction_hash`]: as secret as the key, and the same wherever that is.
    pub fn hash_seed(&self) -> u64 {
        SipHasher24::new_with_key(&self.key).hash(b"sip-filter: seed of the transaction hash")
    }
}

impl fmt::Debug for TagSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = format_args!("{}", self.prefix.escape_ascii());
        formatter.debug_struct("TagSecret").field("prefix", &prefix).finish_non_exhaustive()
    }
}

/// The hash of the transaction that a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransactionHash(pub(super) u64);

impl TransactionHash {
    /// SipHash-2-4 over what identifies the transaction (RFC 3261 sections 8.2.7, 17.2.3), however it was spelled.
    ///
    /// The lengths come first, so that no two different requests feed the same octets.
    pub(super) fn new(secret: &TagSecret, request: &Request<'_>) -> Self {
        let parts = [request.via.transaction(request.message), request.call_id, request.from, request.cseq];
        // Each is shorter than the message, so than 65 536 octets.
        let lengths = parts.iter().fold(0_u64, |lengths, part| lengths << 16 | part.len() as u64);
        let mut hasher = SipHasher24::new_with_key(&secret.key);
        hasher.write(&lengths.to_le_bytes());
        for part in parts {
            hasher.write(part);
        }
        Self(hasher.finish())
    }

    /// The tag: the prefix of `secret` and this hash.
    pub(super) fn tag(self, secret: &TagSecret) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        let (prefix, digits) = tag.split_at_mut(secret.prefix.len());
        prefix.copy_from_slice(&secret.prefix);
        for (index, digit) in digits.iter_mut().enumerate() {
            let value = (self.0 >> (60 - 4 * index)) as u8 & 0xf;
            *digit = if value < 10 { b'0' + value } else { b'a' - 10 + value };
        }
        tag
    }
}
