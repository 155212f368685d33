//! A number as eight hexadecimal digits.

/// The digits, lower case, as the eight octets of a word that is stored in little-endian order.
#[inline(always)]
pub fn digits(number: u32) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(number);
    // Each nibble into an octet of its own, the highest into the highest.
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    word = (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (word + 6 * ONES) >> 4 & ONES;
    let text = word + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10);
    text.swap_bytes()
}
