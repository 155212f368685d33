//! Hexadecimal digits of a call's number.

/// Returns the eight lower-case hexadecimal digits of `number`, as the bytes of a little-endian word.
#[inline(always)]
pub(crate) fn digits(number: u32) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(number);
    // Spread the nibbles over the bytes, the highest nibble into the highest byte.
    word = (word | (word << 16)) & 0x0000_ffff_0000_ffff;
    word = (word | (word << 8)) & 0x00ff_00ff_00ff_00ff;
    word = (word | (word << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((word + 6 * ONES) >> 4) & ONES;
    let text = word + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10);
    text.swap_bytes()
}
