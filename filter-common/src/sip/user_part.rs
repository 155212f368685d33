//! The user part of a Request-URI, by which emergency numbers are looked up.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::words::{first_marked, marks_equal, mask, repeat, word};

/// The user part of a Request-URI as a key of the map [`EMERGENCY`](crate::maps::EMERGENCY): its bytes, then zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct UserPart {
    words: [u64; 2],
}

impl UserPart {
    /// Maximum length, in bytes, of a user part that can be a key.
    pub const MAX_LEN: usize = 15;

    /// The absence of a user part, which is never a key.
    pub(super) const NONE: Self = Self { words: [0; 2] };

    /// Creates the key of a user part that an operator wrote.
    ///
    /// Returns `None` if the text is empty, too long, or has a byte that is not printable ASCII or ends a user part.
    pub fn new(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !ends_user_part(byte);
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(is_allowed) {
            return None;
        }
        Some(Self { words: [word(text.as_bytes(), 0), word(text.as_bytes(), 8)] })
    }

    /// Returns the bits that any of the user parts has, for [`has_only_bits`](Self::has_only_bits).
    pub fn combined_bits(user_parts: impl IntoIterator<Item = Self>) -> [u64; 2] {
        user_parts.into_iter().fold([0; 2], |[low, high], part| [low | part.words[0], high | part.words[1]])
    }

    /// Returns whether the user part has no other bits than `bits`.
    ///
    /// With the [`combined_bits`](Self::combined_bits) of a set, `false` means that the user part is not in the set.
    /// Emergency numbers of three digits have no bits after their third byte, so this rules out nearly all numbers that
    /// are called.
    #[inline(always)]
    pub const fn has_only_bits(&self, bits: [u64; 2]) -> bool {
        self.words[0] & !bits[0] | self.words[1] & !bits[1] == 0
    }

    /// Parses the user part at the beginning of two words, up to the byte that ends it.
    ///
    /// Returns [`NONE`](Self::NONE) if no byte ends it: then it is longer than any key.
    #[inline(always)]
    pub(super) fn parse(words: [u64; 2]) -> Self {
        let [low, high] = words;
        let end = user_part_end(low);
        if end < 8 {
            return Self { words: [low & mask(end), 0] };
        }
        let end = user_part_end(high);
        if end < 8 {
            return Self { words: [low, high & mask(end)] };
        }
        Self::NONE
    }
}

/// Returns the index of the first byte of `word` that ends a user part, or 8 if none does.
#[inline(always)]
fn user_part_end(word: u64) -> usize {
    // `:` and `;` differ in the lowest bit.
    let found = marks_equal(word, repeat(b'@'))
        | marks_equal(word & repeat(!1), repeat(b':'))
        | marks_equal(word, repeat(b' '));
    if found == 0 { 8 } else { first_marked(found).into() }
}

/// Returns whether a byte ends a user part: `@`, `:` before a password, `;` before a parameter, or the space after the
/// URI (RFC 3261 section 25.1, RFC 3966).
#[inline(always)]
const fn ends_user_part(byte: u8) -> bool {
    matches!(byte, b'@' | b':' | b';' | b' ')
}
