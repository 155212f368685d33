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

/// The index, 0 to 7, of the first byte marked. `marks` must not be zero.
///
/// The BPF instruction set has no count of trailing zeros; three comparisons are cheaper there than the
/// population count that LLVM puts in its place.
#[inline(always)]
pub(super) const fn first(marks: u64) -> u32 {
    let mut marks = marks;
    let mut index = 0;
    if marks & 0xffff_ffff == 0 {
        index += 4;
        marks >>= 32;
    }
    if marks & 0xffff == 0 {
        index += 2;
        marks >>= 16;
    }
    if marks & 0xff == 0 {
        index += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::{first, marks, repeat};

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
    fn no_other_byte_is_taken_for_a_newline() {
        for byte in (0..=255_u8).filter(|byte| *byte != b'\n') {
            assert_eq!(marks(repeat(byte), repeat(b'\n')), 0, "byte {byte:#x}");
        }
    }
}
