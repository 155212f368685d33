//! Bytes of a message as words: loading a word, comparing it with a name, and finding bytes in it.
//!
//! A word holds eight bytes, the first in its lowest bits.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The bit by which a lower-case letter differs from its capital, in each byte.
pub(crate) const LOWER_CASE: u64 = repeat(0x20);

/// Packs up to eight bytes into a word, followed by zeros.
///
/// # Panics
///
/// If there are more than eight bytes. For constants, the compiler reports this.
#[inline(always)]
pub const fn pack(mut bytes: &[u8]) -> u64 {
    assert!(bytes.len() <= 8);
    let mut word = 0;
    while let [rest @ .., last] = bytes {
        word = (word << 8) | *last as u64;
        bytes = rest;
    }
    word
}

/// Returns the mask of the first `len` bytes of a word, 0 to 8.
#[inline(always)]
pub const fn mask(len: usize) -> u64 {
    if len < 8 { (1 << (8 * len)) - 1 } else { u64::MAX }
}

/// Returns whether `word` begins with `bytes`, of which there are at most eight.
#[inline(always)]
pub const fn begins_with(word: u64, bytes: &[u8]) -> bool {
    word & mask(bytes.len()) == pack(bytes)
}

/// Returns the eight bytes of `bytes` at `offset` as a word. Bytes beyond the end are zero.
#[inline(always)]
pub fn word(bytes: &[u8], offset: usize) -> u64 {
    match bytes.get(offset..offset.wrapping_add(8)).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_word(bytes, offset),
    }
}

#[cold]
#[inline(never)]
fn last_word(bytes: &[u8], offset: usize) -> u64 {
    let rest = bytes.get(offset..).unwrap_or_default();
    rest.iter().take(8).rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// A name of up to eight bytes, compared with a word without regard to case.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// The name in lower case.
    word: u64,
    /// The mask of its bytes.
    mask: u64,
    /// The bit that makes a capital lower case, in each byte that is a letter.
    case: u64,
    len: usize,
}

impl Spelling {
    /// Creates the spelling of `name`, which is in lower case.
    ///
    /// # Panics
    ///
    /// If `name` has more than eight bytes. For constants, the compiler reports this.
    pub const fn new(name: &[u8]) -> Self {
        let mut case = 0;
        let mut bytes = name;
        while let [rest @ .., last] = bytes {
            case = (case << 8) | if last.is_ascii_lowercase() { 0x20 } else { 0 };
            bytes = rest;
        }
        Self { word: pack(name), mask: mask(name.len()), case, len: name.len() }
    }

    /// Returns the spelling of this name, of at most seven bytes, followed by a colon.
    #[must_use]
    #[inline(always)]
    pub const fn with_colon(self) -> Self {
        let word = self.word | ((b':' as u64) << (8 * self.len));
        Self { word, mask: mask(self.len + 1), len: self.len + 1, ..self }
    }

    /// Returns the number of bytes in the name.
    #[expect(clippy::len_without_is_empty, reason = "no name is empty")]
    #[inline(always)]
    pub const fn len(self) -> usize {
        self.len
    }

    /// Returns whether `word` begins with the name, in any case.
    #[inline(always)]
    pub const fn is_prefix_of(self, word: u64) -> bool {
        word & self.mask | self.case == self.word
    }
}

// The functions below find bytes in a word. Each returns marks: the highest bit of each byte found ("Bit Twiddling
// Hacks", *Determine if a word has a zero byte*).

/// Returns a word of eight times `byte`.
pub(crate) const fn repeat(byte: u8) -> u64 {
    LOW_BITS * byte as u64
}

/// Marks the bytes of `word` that equal the byte that `pattern` repeats. Only the first mark is exact.
#[inline(always)]
pub(crate) const fn marks_equal(word: u64, pattern: u64) -> u64 {
    let zero_where_equal = word ^ pattern;
    zero_where_equal.wrapping_sub(LOW_BITS) & !zero_where_equal & HIGH_BITS
}

/// Marks the bytes of `word` below `bound`, which is at most 0x80, at half the cost of [`marks_equal`].
///
/// The first mark may be a false positive at a non-ASCII byte, but no byte before it is below `bound`.
#[inline(always)]
pub(crate) const fn marks_below(word: u64, bound: u8) -> u64 {
    // A byte below the bound borrows, which sets its highest bit.
    word.wrapping_sub(repeat(bound)) & HIGH_BITS
}

/// Marks DEL and the non-ASCII bytes of `word`. Only the first mark is exact.
#[inline(always)]
pub(crate) const fn marks_above_tilde(word: u64) -> u64 {
    word.wrapping_add(LOW_BITS) & HIGH_BITS
}

/// Returns whether `marks`, which is not zero, has a single mark.
#[inline(always)]
pub(crate) const fn is_single(marks: u64) -> bool {
    marks.is_power_of_two()
}

/// Returns the index, 0 to 7, of the first byte marked in `marks`, which is not zero.
///
/// The BPF instruction set cannot count trailing zeros. Multiplying by the lowest mark moves its index into the highest
/// bits without a branch, which a CPU could not predict: a newline may be in any byte.
#[inline(always)]
pub(crate) const fn first_marked(marks: u64) -> u8 {
    // Each index in the three highest bits of a byte.
    const INDICES: u64 = 0x0001_0203_0405_0607 << 5;
    let lowest = marks & marks.wrapping_neg();
    ((lowest >> 7).wrapping_mul(INDICES) >> 61) as u8
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{
        Spelling, begins_with, first_marked, marks_above_tilde, marks_below, marks_equal, mask, pack, repeat, word,
    };

    #[test]
    fn a_packed_name_is_the_word_of_its_bytes() {
        for len in 0..=8 {
            let name = &b"register"[..len];
            assert_eq!(pack(name), word(name, 0));
            assert_eq!(word(b"register;lr", 0) & mask(len), pack(name));
            assert!(begins_with(word(b"register;lr", 0), name));
            assert!(len == 0 || !begins_with(word(b"Register;lr", 0), name));
        }
    }

    #[test]
    fn a_word_beyond_the_end_is_padded_with_zeros() {
        let bytes: Vec<u8> = (1..=11).collect();
        assert_eq!(word(&bytes, 3).to_le_bytes(), [4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(word(&bytes, 4).to_le_bytes(), [5, 6, 7, 8, 9, 10, 11, 0]);
        assert_eq!(word(&bytes, 10).to_le_bytes(), [11, 0, 0, 0, 0, 0, 0, 0]);
        for offset in [11, 12, usize::MAX - 7, usize::MAX] {
            assert_eq!(word(&bytes, offset), 0, "at {offset}");
        }
    }

    #[test]
    fn a_spelling_matches_any_case_and_nothing_else() {
        for name in ["tag", "rport", "received", "sip/2.0"] {
            let spelling = Spelling::new(name.as_bytes());
            assert_eq!(spelling.len(), name.len());
            for (place, byte) in (0..name.len()).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut bytes = name.to_ascii_uppercase().into_bytes();
                bytes[place] = byte;
                let is_same = bytes.eq_ignore_ascii_case(name.as_bytes());
                assert_eq!(spelling.is_prefix_of(word(&bytes, 0)), is_same, "{}", bytes.escape_ascii());
                bytes.extend(b":x");
                assert_eq!(spelling.is_prefix_of(word(&bytes, 0)), is_same, "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn a_spelling_with_a_colon_matches_only_before_a_colon() {
        let spelling = Spelling::new(b"via").with_colon();
        assert_eq!(spelling.len(), 4);
        for (text, matches) in [("Via: x", true), ("VIA:", true), ("via :", false), ("vias:", false), ("via", false)] {
            assert_eq!(spelling.is_prefix_of(word(text.as_bytes(), 0)), matches, "{text:?}");
        }
    }

    #[test]
    fn the_first_newline_is_found_in_each_place() {
        for at in 0..8 {
            for before in 0..=255_u8 {
                if before == b'\n' {
                    continue;
                }
                let mut bytes = [before; 8];
                bytes[at] = b'\n';
                let found = marks_equal(u64::from_le_bytes(bytes), repeat(b'\n'));
                assert_eq!(first_marked(found) as usize, at, "before {before:#x}");
            }
        }
    }

    #[test]
    fn no_byte_below_the_bound_is_missed() {
        for bound in [b'\n' + 1, b' ', b' ' + 1] {
            for byte in 0..bound {
                for at in 0..8 {
                    for (before, after) in (0..=255_u8).flat_map(|before| [0, b'0', 255].map(|after| (before, after))) {
                        let mut bytes = [after; 8];
                        bytes[..at].fill(before);
                        bytes[at] = byte;
                        let found = first_marked(marks_below(u64::from_le_bytes(bytes), bound)) as usize;
                        let marked = before < bound || before >= 0x80 + bound;
                        assert_eq!(found, if marked { 0 } else { at }, "{byte:#x} at {at}, after {before:#x}");
                    }
                }
            }
            assert!((bound..0x80).all(|byte| marks_below(repeat(byte), bound) == 0));
        }
    }

    #[test]
    fn del_is_found_in_each_place() {
        for at in 0..8 {
            for (before, after) in (0..0x7f).flat_map(|before| [0, b'0', 255].map(|after| (before, after))) {
                let mut bytes = [after; 8];
                bytes[..at].fill(before);
                bytes[at] = 0x7f;
                assert_eq!(
                    first_marked(marks_above_tilde(u64::from_le_bytes(bytes))) as usize,
                    at,
                    "after {before:#x}"
                );
            }
        }
        assert!((0..0x7f).all(|byte| marks_above_tilde(repeat(byte)) == 0));
    }

    #[test]
    fn no_other_byte_is_marked_as_a_newline() {
        for byte in (0..=255_u8).filter(|byte| *byte != b'\n') {
            assert_eq!(marks_equal(repeat(byte), repeat(b'\n')), 0, "byte {byte:#x}");
        }
    }
}
