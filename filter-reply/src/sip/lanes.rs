//! Octets compared sixteen at a time, and 64 at a time for newlines.
//!
//! On x86-64 by SSE2, which all of them have, and elsewhere by arrays, which compilers make vectors of.

#[cfg(not(target_feature = "sse2"))]
use portable as lanes;
#[cfg(target_feature = "sse2")]
use sse2 as lanes;

pub(crate) use lanes::Lanes;

/// How many octets [`Lanes`] has.
pub(crate) const LANES: usize = 16;
/// How many octets [`LineStarts`] looks at in one go: as many as a word has bits.
const BLOCK: usize = 64;

/// The first offset from `at` on where `message` has an octet that stops; its length at least, if none does.
///
/// `stops` says which of sixteen do, and `is_stop` says the same of one.
#[inline(always)]
pub(crate) fn find(
    message: &[u8],
    mut at: usize,
    stops: impl Fn(Lanes) -> Lanes,
    is_stop: impl Fn(u8) -> bool,
) -> usize {
    while let Some(chunk) = message.get(at..at + LANES).and_then(<[u8]>::first_chunk) {
        let bits = stops(Lanes::of(chunk)).bits();
        if bits != 0 {
            return at + bits.trailing_zeros() as usize;
        }
        at += LANES;
    }
    find_at_end(message, at, is_stop)
}

/// [`find`] where `may_stop` tells all that stop, and others that are rare: it is quicker.
#[inline(always)]
pub(crate) fn find_roughly(
    message: &[u8],
    mut at: usize,
    may_stop: impl Fn(Lanes) -> Lanes,
    is_stop: impl Fn(u8) -> bool,
) -> usize {
    loop {
        at = find(message, at, &may_stop, &is_stop);
        match message.get(at) {
            Some(octet) if !is_stop(*octet) => at += 1,
            _ => return at,
        }
    }
}

/// [`find`] where fewer than sixteen octets are left.
#[cold]
#[inline(never)]
fn find_at_end(message: &[u8], at: usize, is_stop: impl Fn(u8) -> bool) -> usize {
    at + message.get(at..).unwrap_or_default().iter().take_while(|octet| !is_stop(**octet)).count()
}

/// Where the lines of a message begin but for the first, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineStarts<'m> {
    message: &'m [u8],
    /// The offset of `block`.
    at: usize,
    /// The octets that `bits` is about, and one more: the first of a line, if the newline before it is the last of them.
    block: &'m [u8; BLOCK + 1],
    /// A bit for each newline of the block that has not been told yet, the first in the lowest bit.
    bits: u64,
}

impl<'m> LineStarts<'m> {
    /// The lines of `message`. `None`: it has not even a block of octets.
    #[inline(always)]
    pub(crate) fn new(message: &'m [u8]) -> Option<Self> {
        let block = message.first_chunk()?;
        Some(Self { message, at: 0, block, bits: newlines(block) })
    }

    pub(crate) const fn message(&self) -> &'m [u8] {
        self.message
    }

    /// The offset of the next line, and its first octet. `None`: there are no more, or the message ends with its newline.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(usize, u8)> {
        while self.bits == 0 {
            let at = self.at + BLOCK;
            if let Some(block) = self.message.get(at..).and_then(<[u8]>::first_chunk) {
                *self = Self { at, block, bits: newlines(block), ..*self };
            } else {
                *self = last_block(self.message, at)?;
            }
        }
        let after = self.bits.trailing_zeros() as usize + 1;
        self.bits &= self.bits - 1;
        Some((self.at + after, *self.block.get(after)?))
    }
}

/// The block that ends with the message, of which only the newlines from `at` on count.
#[cold]
#[inline(never)]
fn last_block(message: &[u8], at: usize) -> Option<LineStarts<'_>> {
    let block = message.last_chunk()?;
    let start = message.len() - block.len();
    let untold = u64::MAX.checked_shl(at.checked_sub(start)? as u32)?;
    Some(LineStarts { message, at: start, block, bits: newlines(block) & untold })
}

/// A bit for each newline of `block` without its last octet, that for the first octet the lowest.
#[inline(always)]
fn newlines(block: &[u8; BLOCK + 1]) -> u64 {
    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |bits, chunk| bits << LANES | u64::from(Lanes::of(chunk).is(b'\n').bits()))
}

#[cfg(target_feature = "sse2")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    use super::LANES;

    /// Sixteen octets, or for each of them whether something is so: all bits set or none.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(__m128i);

    // SAFETY of all of them: this module is only there if the target has SSE2, which is all that they ask for.
    impl Lanes {
        #[inline(always)]
        pub(crate) fn of(octets: &[u8; LANES]) -> Self {
            // One load, in spite of its looks.
            let (words, _) = octets.as_chunks();
            let [low, high] = [words[0], words[1]].map(i64::from_le_bytes);
            // SAFETY: see above.
            Self(unsafe { _mm_set_epi64x(high, low) })
        }

        /// Which octets are `octet`.
        #[inline(always)]
        pub(crate) fn is(self, octet: u8) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(octet as i8)) })
        }

        /// Which octets are `octet` or less.
        #[inline(always)]
        pub(crate) fn is_at_most(self, octet: u8) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(octet as i8)), self.0) })
        }

        /// Which octets are not less than `low` and not more than `high`.
        #[inline(always)]
        pub(crate) fn is_within(self, low: u8, high: u8) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_sub_epi8(self.0, _mm_set1_epi8(low as i8)) }).is_at_most(high - low)
        }

        /// The octets with the bits of `octet` as well.
        #[inline(always)]
        pub(crate) fn with_bits(self, octet: u8) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_or_si128(self.0, _mm_set1_epi8(octet as i8)) })
        }

        /// Which are so in either.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// A bit for each octet, that for the first one the lowest.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // SAFETY: see above.
            unsafe { _mm_movemask_epi8(self.0) as u32 }
        }
    }
}

#[cfg(any(test, not(target_feature = "sse2")))]
mod portable {
    use super::LANES;

    /// Sixteen octets, or for each of them whether something is so: all bits set or none.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([u8; LANES]);

    impl Lanes {
        #[inline(always)]
        pub(crate) fn of(octets: &[u8; LANES]) -> Self {
            Self(*octets)
        }

        /// Which octets are `octet`.
        #[inline(always)]
        pub(crate) fn is(self, octet: u8) -> Self {
            Self(self.0.map(|lane| if lane == octet { 0xff } else { 0 }))
        }

        /// Which octets are `octet` or less.
        #[inline(always)]
        pub(crate) fn is_at_most(self, octet: u8) -> Self {
            Self(self.0.map(|lane| if lane <= octet { 0xff } else { 0 }))
        }

        /// Which octets are not less than `low` and not more than `high`.
        #[inline(always)]
        pub(crate) fn is_within(self, low: u8, high: u8) -> Self {
            Self(self.0.map(|lane| if low <= lane && lane <= high { 0xff } else { 0 }))
        }

        /// The octets with the bits of `octet` as well.
        #[inline(always)]
        pub(crate) fn with_bits(self, octet: u8) -> Self {
            Self(self.0.map(|lane| lane | octet))
        }

        /// Which are so in either.
        #[inline(always)]
        pub(crate) fn or(mut self, other: Self) -> Self {
            self.0.iter_mut().zip(other.0).for_each(|(lane, other)| *lane |= other);
            self
        }

        /// A bit for each octet, that for the first one the lowest.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // Bit 8·n of a word, times this, comes to bit 56 + n; no two of the products meet, so nothing is carried.
            const GATHER: u64 = 0x0102_0408_1020_4080;
            let (words, _) = self.0.as_chunks();
            let [low, high] = [words[0], words[1]]
                .map(|word| ((u64::from_le_bytes(word) & 0x0101_0101_0101_0101).wrapping_mul(GATHER) >> 56) as u32);
            high << 8 | low
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, LANES, Lanes, LineStarts, find, find_roughly, portable};

    /// Octets of all values, in an order without much order.
    fn octets() -> Vec<u8> {
        (0..512_u32).map(|index| ((index * 167) >> (index >> 8)) as u8).collect()
    }

    #[test]
    fn each_octet_is_told_as_it_is_told_alone() {
        let octets = octets();
        for (chunk, octet) in octets.windows(LANES).flat_map(|chunk| (0..=u8::MAX).map(move |octet| (chunk, octet))) {
            let chunk = chunk.first_chunk().expect("sixteen octets");
            let expected = |is: &dyn Fn(u8) -> bool| {
                chunk.iter().rev().fold(0_u32, |bits, octet| bits << 1 | u32::from(is(*octet)))
            };
            let end = octet.saturating_add(60);
            let expected = [
                expected(&|lane| lane == octet),
                expected(&|lane| lane <= octet),
                expected(&|lane| (octet..=end).contains(&lane)),
                expected(&|lane| lane | 0x23 == octet),
                expected(&|lane| lane == octet || lane <= octet ^ 0x55),
            ];
            macro_rules! bits {
                ($lanes:expr) => {{
                    let lanes = $lanes;
                    [
                        lanes.is(octet),
                        lanes.is_at_most(octet),
                        lanes.is_within(octet, end),
                        lanes.with_bits(0x23).is(octet),
                        lanes.is(octet).or(lanes.is_at_most(octet ^ 0x55)),
                    ]
                    .map(|lanes| lanes.bits())
                }};
            }
            assert_eq!(bits!(Lanes::of(chunk)), expected, "{octet}");
            assert_eq!(bits!(portable::Lanes::of(chunk)), expected, "{octet}");
        }
    }

    #[test]
    fn the_first_stop_is_found_wherever_it_is() {
        for len in 0..70 {
            for stop in 0..=len {
                let mut text = vec![b'a'; len];
                text.iter_mut().skip(stop).step_by(3).for_each(|octet| *octet = b';');
                for at in 0..=len {
                    let expected = (at..len).find(|at| text[*at] == b';').unwrap_or(len);
                    let found = find(&text, at, |lanes| lanes.is(b';'), |octet| octet == b';');
                    assert_eq!(found, expected, "{len} {stop} {at}");
                    let found =
                        find_roughly(&text, at, |lanes| lanes.is(b';').or(lanes.is(b'a')), |octet| octet == b';');
                    assert_eq!(found, expected, "{len} {stop} {at}, with a doubt about each octet");
                }
            }
        }
    }

    #[test]
    fn every_line_is_told_once() {
        for len in 0..300 {
            for (start, step) in [(0, 1), (1, 7), (63, 1), (64, 64), (5, 100), (400, 1)] {
                let mut message = vec![b'a'; len];
                message.iter_mut().skip(start).step_by(step).for_each(|octet| *octet = b'\n');
                let Some(mut starts) = LineStarts::new(&message) else {
                    assert!(len <= BLOCK, "{len} octets are enough");
                    continue;
                };
                let expected: Vec<(usize, u8)> =
                    (1..len).filter(|at| message[at - 1] == b'\n').map(|at| (at, message[at])).collect();
                let found: Vec<(usize, u8)> = std::iter::from_fn(|| starts.next()).collect();
                assert_eq!(found, expected, "{len} {start} {step}");
                assert_eq!(starts.next(), None);
            }
        }
    }
}
