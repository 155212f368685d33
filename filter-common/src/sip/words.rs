//! Finding bytes eight at a time in a little-endian word ("Bit Twiddling Hacks", *Determine if a word has a zero byte*).

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A word of eight times `byte`.
pub(super) const fn repeat(byte: u8) -> u64 {
    LOW_BITS * byte as u64
}

/// Marks where `word` has the byte that `pattern` repeats: the lowest mark is exact, those above it need not be.
#[inline(always)]
pub(super) const fn marks(word: u64, pattern: u64) -> u64 {
    let zero_where_equal = word ^ pattern;
    zero_where_equal.wrapping_sub(LOW_BITS) & !zero_where_equal & HIGH_BITS
}

/// Marks octets less than `bound`, which is 0x80 at most. The lowest mark may also be at an octet that is not ASCII, which is rare
/// in a message; before it there is none that is less. It costs half of what [`marks`] does.
#[inline(always)]
pub(super) const fn below(word: u64, bound: u8) -> u64 {
    // An octet that is less borrows, and has its highest bit set.
    word.wrapping_sub(repeat(bound)) & HIGH_BITS
}

/// Marks DEL, and octets that are not ASCII, from the lowest of them on.
#[inline(always)]
pub(super) const fn above_tilde(word: u64) -> u64 {
    word.wrapping_add(LOW_BITS) & HIGH_BITS
}

/// Whether there is one mark and no more. `marks` must not be zero.
#[inline(always)]
pub(super) const fn is_only(marks: u64) -> bool {
    marks & (marks - 1) == 0
}

/// The index, 0 to 7, of the first byte marked. `marks` must not be zero.
///
/// The BPF instruction set has no count of trailing zeros. A multiplication by the lowest mark moves its index into the highest
/// bits, without branches: which byte a newline is in is nothing that a CPU can predict.
#[inline(always)]
pub(super) const fn first(marks: u64) -> u8 {
    // Each index in the three highest bits of an octet.
    const INDICES: u64 = 0x0001_0203_0405_0607 << 5;
    let lowest = marks & marks.wrapping_neg();
    ((lowest >> 7).wrapping_mul(INDICES) >> 61) as u8
}

#[cfg(test)]
mod tests {
    use super::{above_tilde, below, first, marks, repeat};

    #[test]
    fn the_first_newline_is_found_wherever_it_stands() {
        for at in 0..8 {
            for before in 0..=255_u8 {
                if before == b'\n' {
                    continue;
                }
                let mut bytes = [before; 8];
                bytes[at] = b'\n';
                let found = marks(u64::from_le_bytes(bytes), repeat(b'\n'));
                assert_eq!(first(found) as usize, at, "before {before:#x}");
            }
        }
    }

    #[test]
    fn nothing_that_is_less_is_overlooked() {
        for bound in [b'\n' + 1, b' ', b' ' + 1] {
            for octet in 0..bound {
                for at in 0..8 {
                    for (before, after) in (0..=255_u8).flat_map(|before| [0, b'0', 255].map(|after| (before, after))) {
                        let mut octets = [after; 8];
                        octets[..at].fill(before);
                        octets[at] = octet;
                        let found = first(below(u64::from_le_bytes(octets), bound)) as usize;
                        let marked = before < bound || before >= 0x80 + bound;
                        assert_eq!(found, if marked { 0 } else { at }, "{octet:#x} at {at}, after {before:#x}");
                    }
                }
            }
            assert!((bound..0x80).all(|octet| below(repeat(octet), bound) == 0));
        }
    }

    #[test]
    fn del_is_not_overlooked() {
        for at in 0..8 {
            for (before, after) in (0..0x7f).flat_map(|before| [0, b'0', 255].map(|after| (before, after))) {
                let mut octets = [after; 8];
                octets[..at].fill(before);
                octets[at] = 0x7f;
                assert_eq!(first(above_tilde(u64::from_le_bytes(octets))) as usize, at, "after {before:#x}");
            }
        }
        assert!((0..0x7f).all(|octet| above_tilde(repeat(octet)) == 0));
    }

    #[test]
    fn no_other_byte_is_taken_for_a_newline() {
        for byte in (0..=255_u8).filter(|byte| *byte != b'\n') {
            assert_eq!(marks(repeat(byte), repeat(b'\n')), 0, "byte {byte:#x}");
        }
    }
}
