//! The To tag of a response: a hash of the request and a secret, so that a retransmission gets the same tag.

use std::fmt;
use std::hash::Hasher as _;

use filter_common::words::{mask, word};
use siphasher::sip::{SipHasher13, SipHasher24};
use thiserror::Error;

use crate::sip::lexis::is_token;
use crate::sip::request::Request;

/// Length of a tag in bytes: the prefix and 16 hexadecimal digits.
pub const TAG_LEN: usize = 24;

/// Beginning of the parameter that holds the tag.
pub(crate) const PARAMETER: &[u8; 5] = b";tag=";

/// The secret from which To tags are computed. All hosts of a cluster share it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TagSecret {
    prefix: [u8; 8],
    key: [u8; 16],
}

/// The error of a tag prefix that is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tag prefix has only characters of a token: letters, digits and -.!%*_+`'~ (RFC 3261 section 25.1)")]
pub struct InvalidTagPrefix;

impl TagSecret {
    /// Creates a secret from its parts: the prefix of all tags, and the key of the hash that follows it.
    ///
    /// The XDP program recognises the ACK to a response by the prefix. The key must stay secret: it makes tags
    /// predictable.
    ///
    /// # Errors
    ///
    /// If the prefix is not a token, so that a To header could not contain it.
    pub fn new(prefix: [u8; 8], key: [u8; 16]) -> Result<Self, InvalidTagPrefix> {
        if prefix.iter().all(|byte| is_token(*byte)) { Ok(Self { prefix, key }) } else { Err(InvalidTagPrefix) }
    }

    /// Creates a secret from random bytes: eight for the prefix, then 16 for the key.
    pub fn from_random(random: &[u8; 24]) -> Self {
        let mut prefix = [0; 8];
        let mut key = [0; 16];
        prefix.iter_mut().chain(&mut key).zip(random).for_each(|(to, from)| *to = *from);
        // 256 is not a multiple of 36, so four characters are slightly likelier. A prefix has to be unique, not
        // unpredictable.
        let prefix = prefix.map(|byte| match byte % 36 {
            letter @ 0..26 => b'a' + letter,
            digit => b'0' + (digit - 26),
        });
        Self { prefix, key }
    }

    /// Returns the prefix of all tags.
    pub const fn prefix(&self) -> [u8; 8] {
        self.prefix
    }

    /// Returns the prefix, and the key in hexadecimal, in the form in which the database and the state file store them.
    pub fn to_text(&self) -> (String, String) {
        let prefix = self.prefix.iter().copied().map(char::from).collect();
        (prefix, format!("{:032x}", u128::from_be_bytes(self.key)))
    }

    /// Parses what [`to_text`](Self::to_text) returns. Returns `None` for anything else.
    pub fn from_text(prefix: &str, key: &str) -> Option<Self> {
        let prefix: [u8; 8] = prefix.as_bytes().try_into().ok()?;
        let is_prefix = prefix.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        // `from_str_radix` alone would accept a plus sign, and fewer digits.
        let is_key = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_prefix || !is_key {
            return None;
        }
        Some(Self { prefix, key: u128::from_str_radix(key, 16).ok()?.to_be_bytes() })
    }

    /// Returns the seed of [`filter_common::transaction::transaction_hash`], which is as secret as the key.
    pub fn hash_seed(&self) -> u64 {
        SipHasher24::new_with_key(&self.key).hash(b"sip-filter: seed of the transaction hash")
    }
}

impl fmt::Debug for TagSecret {
    /// Writes the prefix, but not the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = format_args!("{}", self.prefix.escape_ascii());
        formatter.debug_struct("TagSecret").field("prefix", &prefix).finish_non_exhaustive()
    }
}

/// A hash of the transaction that a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransactionHash(pub(crate) u64);

impl TransactionHash {
    /// Hashes the parts of `request` that identify its transaction (RFC 3261 sections 8.2.7, 17.2.3).
    ///
    /// The spelling of the headers around these parts does not matter.
    ///
    /// SipHash-1-3, with one round per word and three at the end, takes little more than half the time of SipHash-2-4.
    /// No way is known to predict a tag without the key; hash tables rely on this against hostile keys. Little is at
    /// stake: predicting a tag only reveals the To tag of someone else's refused call.
    ///
    /// The lengths come first, so that no two different requests feed the same bytes. Each part is padded to whole
    /// words, because hashing some zeros is cheaper than joining the parts.
    pub(crate) fn new(secret: &TagSecret, request: &Request<'_>) -> Self {
        let message = request.message;
        let parts = [request.via.transaction_id(message), request.call_id, request.from, request.cseq];
        // A message has at most 65 535 bytes, so each length fits into 16 bits.
        let lengths = parts.iter().fold(0_u64, |lengths, part| (lengths << 16) | part.len() as u64);
        let mut hasher = SipHasher13::new_with_key(&secret.key);
        hasher.write_u64(lengths.to_le());
        for part in parts {
            let (words, rest) = part.slice(message).as_chunks();
            for word in words {
                hasher.write_u64(u64::from_le_bytes(*word).to_le());
            }
            if !rest.is_empty() {
                hasher.write_u64((word(message, part.end() - rest.len()) & mask(rest.len())).to_le());
            }
        }
        Self(hasher.finish())
    }

    /// Returns the parameter of the To header: `;tag=`, the prefix of `secret`, and this hash in hexadecimal.
    #[inline(always)]
    pub(crate) fn tag_parameter(self, secret: &TagSecret) -> [u8; PARAMETER.len() + TAG_LEN] {
        let mut parameter = [0; PARAMETER.len() + TAG_LEN];
        let [low, high] = [self.0 as u32, (self.0 >> 32) as u32].map(hexadecimal);
        parameter[..5].copy_from_slice(PARAMETER);
        parameter[5..13].copy_from_slice(&secret.prefix);
        parameter[13..21].copy_from_slice(&high);
        parameter[21..].copy_from_slice(&low);
        parameter
    }
}

/// Returns the eight hexadecimal digits of a number.
#[inline(always)]
const fn hexadecimal(number: u32) -> [u8; 8] {
    let mut digits = number as u64;
    digits = (digits | (digits << 16)) & 0x0000_ffff_0000_ffff;
    digits = (digits | (digits << 8)) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | (digits << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding six carries into bit 4 of each digit above 9.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InvalidTagPrefix, TagSecret, hexadecimal};

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

    #[rstest]
    #[case::parameter(b"abcdefg;")]
    #[case::space(b"abc defg")]
    #[case::nul(b"\0bcdefgh")]
    #[case::not_ascii(b"abcdefg\xff")]
    #[case::header_injection(b"abcdef\r\n")]
    fn tag_prefix_that_is_not_a_token_is_rejected(#[case] prefix: &[u8; 8]) {
        assert_eq!(TagSecret::new(*prefix, [0; 16]), Err(InvalidTagPrefix));
    }

    #[test]
    fn debug_output_of_a_tag_secret_does_not_contain_the_key() {
        let debug = format!("{:?}", TagSecret::new(*b"abcdefgh", *b"SECRETSECRETSECR").unwrap());
        assert!(debug.contains("abcdefgh"), "{debug}");
        // `S` as a character and as a number.
        assert!(!debug.contains("SECRET") && !debug.contains("83"), "{debug}");
    }

    #[test]
    fn digits_are_written_as_std_writes_them() {
        for number in (0..=u32::MAX).step_by(65_521).chain((0..32).map(|bit| 1 << bit)).chain([u32::MAX, 0x89ab_cdef]) {
            assert_eq!(&hexadecimal(number), format!("{number:08x}").as_bytes());
        }
    }
}
