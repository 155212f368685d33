//! Our To tag: a function of the request and of a secret, so that it is the same for a retransmission.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip::{SipHasher13, SipHasher24};

use crate::sip::lexis::word;
use crate::sip::request::Request;

/// The length of our tag: the prefix, and sixteen hexadecimal digits.
pub const TAG_LEN: usize = 24;

/// Characters of a tag prefix.
const PREFIX_DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// How the parameter begins that has it.
pub(super) const PARAMETER: &[u8; 5] = b";tag=";

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

impl TagSecret {
    /// Creates a secret from random bytes: eight for the prefix, then sixteen for the key.
    pub fn from_random(random: &[u8; 24]) -> Self {
        let mut prefix = [0; 8];
        let mut key = [0; 16];
        prefix.iter_mut().chain(&mut key).zip(random).for_each(|(to, from)| *to = *from);
        // 256 is not a multiple of 36, so four digits are slightly likelier. The prefix has to be unlike others', not secret.
        let prefix = prefix.map(|byte| PREFIX_DIGITS[usize::from(byte) % PREFIX_DIGITS.len()]);
        Self { prefix, key }
    }

    /// Returns the prefix, and the key in hexadecimal, as database and state file hold them.
    pub fn to_text(&self) -> (String, String) {
        let prefix = self.prefix.iter().copied().map(char::from).collect();
        let key = self.key.iter().map(|byte| format!("{byte:02x}")).collect();
        (prefix, key)
    }

    /// Parses what [`to_text`](Self::to_text) returns. Returns `None` for anything else.
    pub fn from_text(prefix: &str, key: &str) -> Option<Self> {
        let prefix: [u8; 8] = prefix.as_bytes().try_into().ok()?;
        let digits: [u8; 32] = key.as_bytes().try_into().ok()?;
        if !prefix.iter().all(|byte| PREFIX_DIGITS.contains(byte)) || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut key = [0_u8; 16];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self { prefix, key })
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
    /// SipHash-1-3 over what identifies the transaction (RFC 3261 sections 8.2.7, 17.2.3), however it was spelled.
    ///
    /// With one round for each word and three at the end it takes little more than half of what SipHash-2-4 does, and
    /// nothing is known by which tags could be foretold without the key; it is what hash tables rely on against hostile
    /// keys. No more hangs on it here: who could foretell a tag would know how a call is refused to somebody else.
    ///
    /// The lengths come first, so that no two different requests feed the same octets. Each part is filled up to whole
    /// words: putting the parts' octets together would take longer than to hash some zeros.
    pub(super) fn new(secret: &TagSecret, request: &Request<'_>) -> Self {
        let message = request.message;
        let parts = [request.via.transaction(message), request.call_id, request.from, request.cseq];
        // Each is shorter than the message, so than 65 536 octets.
        let lengths = parts.iter().fold(0_u64, |lengths, part| lengths << 16 | part.len() as u64);
        let mut hasher = SipHasher13::new_with_key(&secret.key);
        hasher.write_u64(lengths.to_le());
        for part in parts {
            let (words, rest) = part.of(message).as_chunks();
            for word in words {
                hasher.write_u64(u64::from_le_bytes(*word).to_le());
            }
            if !rest.is_empty() {
                let octets = (1 << (8 * rest.len())) - 1;
                hasher.write_u64((word(message, part.end() - rest.len()) & octets).to_le());
            }
        }
        Self(hasher.finish())
    }

    /// The parameter for the To header: `;tag=` with the prefix of `secret` and this hash.
    #[inline(always)]
    pub(super) fn parameter(self, secret: &TagSecret) -> [u8; PARAMETER.len() + TAG_LEN] {
        let mut parameter = [0; PARAMETER.len() + TAG_LEN];
        let [low, high] = [self.0 as u32, (self.0 >> 32) as u32].map(hexadecimal);
        parameter[..5].copy_from_slice(PARAMETER);
        parameter[5..13].copy_from_slice(&secret.prefix);
        parameter[13..21].copy_from_slice(&high);
        parameter[21..].copy_from_slice(&low);
        parameter
    }
}

/// The eight hexadecimal digits of a number.
#[inline(always)]
const fn hexadecimal(number: u32) -> [u8; 8] {
    let mut digits = number as u64;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Six more carry into bit 4 what is above 9.
    let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{TagSecret, hexadecimal};

    #[test]
    fn tag_secret_survives_its_text_form() {
        let secret = TagSecret::from_random(&std::array::from_fn(|index| 255 - index as u8));
        let (prefix, key) = secret.to_text();
        assert_eq!(TagSecret::from_text(&prefix, &key), Some(secret));
        assert_ne!(TagSecret::from_random(&[7; 24]), secret);
    }

    #[rstest]
    #[case::short_prefix("abc", "00112233445566778899aabbccddeeff")]
    #[case::upper_case("ABCDEFGH", "00112233445566778899aabbccddeeff")]
    #[case::header_injection("a\r\nb: c", "00112233445566778899aabbccddeeff")]
    #[case::short_key("abcdefgh", "0011")]
    #[case::not_hexadecimal("abcdefgh", "+0112233445566778899aabbccddeeff")]
    #[case::not_ascii("abcdefgh", "é0112233445566778899aabbccddeef")]
    fn text_that_is_not_a_tag_secret_is_rejected(#[case] prefix: &str, #[case] key: &str) {
        assert_eq!(TagSecret::from_text(prefix, key), None);
    }

    #[test]
    fn digits_are_written_as_the_standard_library_writes_them() {
        for number in (0..=u32::MAX).step_by(65_521).chain((0..32).map(|bit| 1 << bit)).chain([u32::MAX, 0x89ab_cdef]) {
            assert_eq!(&hexadecimal(number), format!("{number:08x}").as_bytes());
        }
    }
}
