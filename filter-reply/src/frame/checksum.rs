//! The Internet checksum (RFC 1071).

/// A checksum in progress. Every part added but the last must have an even number of bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checksum {
    sum: u128,
    carries: u64,
}

impl Checksum {
    /// Adds `bytes`, padded with a zero to an even number.
    ///
    /// Sums up 128-bit words in native byte order: RFC 1071 section 2 (B) shows that only the result has to be swapped,
    /// and (C) that wide words may be folded at the end.
    #[inline(always)]
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<16>();
        let sum = words.iter().fold(self, |sum, word| sum.add_word(u128::from_ne_bytes(*word)));
        if rest.is_empty() {
            return sum;
        }
        let last = match bytes.last_chunk() {
            // The last 16 bytes, shifted by those already added. Copying the rest would take longer than
            // all of the above.
            Some(last) => u128::from_le_bytes(*last) >> (8 * (16 - rest.len())),
            None => rest.iter().rev().fold(0, |word, byte| (word << 8) | u128::from(*byte)),
        };
        sum.add_word(last.to_le())
    }

    #[inline(always)]
    fn add_word(self, word: u128) -> Self {
        let (sum, carry) = self.sum.overflowing_add(word);
        Self { sum, carries: self.carries + u64::from(carry) }
    }

    /// Returns the checksum in the byte order of a header.
    #[inline(always)]
    pub(crate) fn finish(self) -> [u8; 2] {
        // There are fewer carries than words, so none of these additions overflows.
        let quarter = |shift: u32| u64::from((self.sum >> shift) as u32);
        let mut sum = self.carries + quarter(96) + quarter(64) + quarter(32) + quarter(0);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // `sum` is at most 0xffff.
        (!(sum as u16)).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum;

    /// Computes the checksum as RFC 1071 section 1 defines it.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += (u32::from(pair[0]) << 8) | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn checksum_is_that_of_rfc_1071_at_every_length() {
        let bytes: Vec<u8> = (0..2000_u32).map(|index| ((index * 197) >> 2) as u8).collect();
        for len in 0..bytes.len() {
            let bytes = &bytes[..len];
            assert_eq!(u16::from_be_bytes(Checksum::default().add(bytes).finish()), reference(bytes), "{len}");
        }
        assert_eq!(Checksum::default().add(&vec![0xff; 65_500]).finish(), [0, 0]);
        assert_eq!(Checksum::default().finish(), [0xff, 0xff]);
    }
}
