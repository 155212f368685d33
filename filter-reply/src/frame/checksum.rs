//! The Internet checksum (RFC 1071).

/// A sum under way. All but the last part added must have an even number of octets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    sum: u128,
    carries: u64,
}

impl Sum {
    /// Adds `octets`; an odd one at the end counts as followed by a zero.
    ///
    /// As 128-bit words in the machine's own byte order: RFC 1071 section 2 (B) shows that only the result need be
    /// swapped, and (C) that wider words may be folded at the end.
    #[inline(always)]
    pub(crate) fn add(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<16>();
        let sum = words.iter().fold(self, |sum, word| sum.add_word(u128::from_ne_bytes(*word)));
        if rest.is_empty() {
            return sum;
        }
        let last = match octets.last_chunk() {
            // The last sixteen, without those that have been added: to copy the rest would take longer than all else.
            Some(last) => u128::from_le_bytes(*last) >> (8 * (16 - rest.len())),
            None => rest.iter().rev().fold(0, |word, octet| word << 8 | u128::from(*octet)),
        };
        sum.add_word(last.to_le())
    }

    #[inline(always)]
    fn add_word(self, word: u128) -> Self {
        let (sum, carry) = self.sum.overflowing_add(word);
        Self { sum, carries: self.carries + u64::from(carry) }
    }

    /// The checksum, as it stands in a header.
    #[inline(always)]
    pub(crate) fn finish(self) -> [u8; 2] {
        // The carries are fewer than there are words, so that none of the additions overflows.
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
    use super::Sum;

    /// As RFC 1071 section 1 puts it.
    fn slow(octets: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn it_is_the_sum_of_rfc_1071_at_every_length() {
        let octets: Vec<u8> = (0..2000_u32).map(|index| ((index * 197) >> 2) as u8).collect();
        for len in 0..octets.len() {
            let octets = &octets[..len];
            assert_eq!(u16::from_be_bytes(Sum::default().add(octets).finish()), slow(octets), "{len}");
        }
        assert_eq!(Sum::default().add(&[0xff; 65_500]).finish(), [0, 0]);
        assert_eq!(Sum::default().finish(), [0xff, 0xff]);
    }
}
