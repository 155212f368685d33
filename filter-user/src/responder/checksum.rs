//! The Internet checksum (RFC 1071).

/// A sum under way. All but the last part added must have an even number of octets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u128);

impl Sum {
    /// Adds `octets`; an odd one at the end counts as followed by a zero.
    ///
    /// As 64-bit words in the machine's own byte order: RFC 1071 section 2 (B) shows that only the result need be
    /// swapped, and (C) that wider words may be folded at the end. The upper half of the sum counts the carries.
    #[inline(always)]
    pub(super) fn add(self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<8>();
        let sum = words.iter().map(|word| u128::from(u64::from_ne_bytes(*word))).sum::<u128>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(place, octet)| *place = *octet);
        Self(self.0 + sum + u128::from(u64::from_ne_bytes(last)))
    }

    /// The checksum, as it stands in a header.
    #[inline(always)]
    pub(super) fn finish(self) -> [u8; 2] {
        // The carries are fewer than there are words, so that none of the additions overflows.
        let mut sum = (self.0 >> 64) as u64 + u64::from((self.0 >> 32) as u32) + u64::from(self.0 as u32);
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
