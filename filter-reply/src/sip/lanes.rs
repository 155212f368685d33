//! Searches that compare 16 bytes at a time, and 64 at a time for newlines.
//!
//! On x86-64 they use SSE2, which all of these CPUs have. Elsewhere they use arrays, which the compiler vectorises.

#[cfg(not(target_feature = "sse2"))]
use portable as lanes;
#[cfg(target_feature = "sse2")]
use sse2 as lanes;

pub(crate) use lanes::Lanes;

/// Number of bytes in [`Lanes`].
const LANES: usize = 16;
/// Number of bytes that [`LineStarts`] searches at a time: as many as a word has bits.
const BLOCK: usize = 64;

/// Returns the offset of the first byte of `message`, from `at` on, that `is_stop` accepts.
///
/// `stops` selects these bytes among 16. If there is none, the offset is at least the length of the message.
#[inline(always)]
pub(crate) fn find(
    message: &[u8],
    mut at: usize,
    stops: impl Fn(Lanes) -> Lanes,
    is_stop: impl Fn(u8) -> bool,
) -> usize {
    while let Some(chunk) = message.get(at..at + LANES).and_then(<[u8]>::first_chunk) {
        let bits = stops(Lanes::new(chunk)).bits();
        if bits != 0 {
            return at + bits.trailing_zeros() as usize;
        }
        at += LANES;
    }
    find_at_end(message, at, is_stop)
}

/// Like [`find`], but `may_stop` may also select other bytes if they are rare. Such a test is cheaper.
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
            Some(byte) if !is_stop(*byte) => at += 1,
            _ => return at,
        }
    }
}

/// Like [`find`], for the end of a message, with fewer than 16 bytes left.
#[cold]
#[inline(never)]
fn find_at_end(message: &[u8], at: usize, is_stop: impl Fn(u8) -> bool) -> usize {
    at + message.get(at..).unwrap_or_default().iter().take_while(|byte| !is_stop(**byte)).count()
}

/// An iterator over the lines of a message, except the first one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineStarts<'m> {
    message: &'m [u8],
    /// Offset of `block`.
    at: usize,
    /// The bytes that `bits` describes, and one more: the first byte of a line if the last of them is a newline.
    block: &'m [u8; BLOCK + 1],
    /// A bit for each newline of the block that is still to come. The lowest bit is that of the first byte.
    bits: u64,
}

impl<'m> LineStarts<'m> {
    /// Creates an iterator over the lines of `message`. Returns `None` if the message is shorter than 65 bytes.
    #[inline(always)]
    pub(crate) fn new(message: &'m [u8]) -> Option<Self> {
        let block = message.first_chunk()?;
        Some(Self { message, at: 0, block, bits: newlines(block) })
    }

    pub(crate) const fn message(&self) -> &'m [u8] {
        self.message
    }

    /// Returns the offset of the next line and its first byte, or `None` if the message has no more bytes after a
    /// newline.
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

/// Returns the block at the end of the message, without the newlines before `at`, which belong to earlier blocks.
#[cold]
#[inline(never)]
fn last_block(message: &[u8], at: usize) -> Option<LineStarts<'_>> {
    let block = message.last_chunk()?;
    let start = message.len() - block.len();
    let new = u64::MAX.checked_shl(at.checked_sub(start)? as u32)?;
    Some(LineStarts { message, at: start, block, bits: newlines(block) & new })
}

/// Returns a bit for each newline of `block` without its last byte. The lowest bit is that of the first byte.
#[inline(always)]
fn newlines(block: &[u8; BLOCK + 1]) -> u64 {
    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |bits, chunk| (bits << LANES) | u64::from(Lanes::new(chunk).equal(b'\n').bits()))
}

#[cfg(target_feature = "sse2")]
#[expect(unsafe_code, reason = "SSE2 is available only through unsafe functions")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    use super::LANES;

    /// Sixteen bytes, or a selection of them: bytes with all bits set for those selected, and zeros for the others.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(__m128i);

    impl Lanes {
        /// Loads 16 bytes.
        #[inline(always)]
        pub(crate) fn new(bytes: &[u8; LANES]) -> Self {
            // Compiles to one load.
            let number = u128::from_le_bytes(*bytes);
            let (low, high) = (number as i64, (number >> 64) as i64);
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_set_epi64x(high, low) })
        }

        /// Selects the bytes that equal `byte`.
        #[inline(always)]
        pub(crate) fn equal(self, byte: u8) -> Self {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8)) })
        }

        /// Selects the bytes that are `byte` or less.
        #[inline(always)]
        pub(crate) fn at_most(self, byte: u8) -> Self {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(byte as i8)), self.0) })
        }

        /// Selects the bytes from `low` to `high`.
        #[inline(always)]
        pub(crate) fn within(self, low: u8, high: u8) -> Self {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_sub_epi8(self.0, _mm_set1_epi8(low as i8)) }).at_most(high - low)
        }

        /// Sets the bits of `byte` in all bytes.
        #[inline(always)]
        pub(crate) fn with_bits(self, byte: u8) -> Self {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_or_si128(self.0, _mm_set1_epi8(byte as i8)) })
        }

        /// Returns the union of two selections.
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            Self(unsafe { _mm_or_si128(self.0, other.0) })
        }

        /// Returns a bit for each byte, set if the byte is selected. The lowest bit is that of the first byte.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // SAFETY: the intrinsics require SSE2 and nothing else. Without SSE2, this module is not compiled.
            unsafe { _mm_movemask_epi8(self.0) as u32 }
        }
    }
}

#[cfg(any(test, not(target_feature = "sse2")))]
mod portable {
    use super::LANES;

    /// Sixteen bytes, or a selection of them: bytes with all bits set for those selected, and zeros for the others.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([u8; LANES]);

    impl Lanes {
        /// Loads 16 bytes.
        #[inline(always)]
        pub(crate) fn new(bytes: &[u8; LANES]) -> Self {
            Self(*bytes)
        }

        /// Selects the bytes that equal `byte`.
        #[inline(always)]
        pub(crate) fn equal(self, byte: u8) -> Self {
            Self(self.0.map(|lane| if lane == byte { 0xff } else { 0 }))
        }

        /// Selects the bytes that are `byte` or less.
        #[inline(always)]
        pub(crate) fn at_most(self, byte: u8) -> Self {
            Self(self.0.map(|lane| if lane <= byte { 0xff } else { 0 }))
        }

        /// Selects the bytes from `low` to `high`.
        #[inline(always)]
        pub(crate) fn within(self, low: u8, high: u8) -> Self {
            Self(self.0.map(|lane| if low <= lane && lane <= high { 0xff } else { 0 }))
        }

        /// Sets the bits of `byte` in all bytes.
        #[inline(always)]
        pub(crate) fn with_bits(self, byte: u8) -> Self {
            Self(self.0.map(|lane| lane | byte))
        }

        /// Returns the union of two selections.
        #[inline(always)]
        pub(crate) fn or(mut self, other: Self) -> Self {
            self.0.iter_mut().zip(other.0).for_each(|(lane, other)| *lane |= other);
            self
        }

        /// Returns a bit for each byte, set if the byte is selected. The lowest bit is that of the first byte.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            // The multiplication moves bit 8·n of a word to bit 56 + n. No two products share a bit, so nothing is
            // carried.
            const GATHER: u64 = 0x0102_0408_1020_4080;
            let number = u128::from_le_bytes(self.0);
            let [low, high] = [number as u64, (number >> 64) as u64]
                .map(|word| ((word & 0x0101_0101_0101_0101).wrapping_mul(GATHER) >> 56) as u32);
            (high << 8) | low
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, LANES, Lanes, LineStarts, find, find_roughly, portable};

    /// Returns bytes of all values in an irregular order.
    fn bytes() -> Vec<u8> {
        (0..512_u32).map(|index| ((index * 167) >> (index >> 8)) as u8).collect()
    }

    #[test]
    fn sixteen_bytes_are_selected_as_each_would_be_alone() {
        let bytes = bytes();
        for (chunk, byte) in bytes.windows(LANES).flat_map(|chunk| (0..=u8::MAX).map(move |byte| (chunk, byte))) {
            let chunk = chunk.first_chunk().unwrap();
            let expected = |is: &dyn Fn(u8) -> bool| {
                chunk.iter().rev().fold(0_u32, |bits, lane| (bits << 1) | u32::from(is(*lane)))
            };
            let end = byte.saturating_add(60);
            let expected = [
                expected(&|lane| lane == byte),
                expected(&|lane| lane <= byte),
                expected(&|lane| (byte..=end).contains(&lane)),
                expected(&|lane| lane | 0x23 == byte),
                expected(&|lane| lane == byte || lane <= byte ^ 0x55),
            ];
            macro_rules! bits {
                ($lanes:expr) => {{
                    let lanes = $lanes;
                    [
                        lanes.equal(byte),
                        lanes.at_most(byte),
                        lanes.within(byte, end),
                        lanes.with_bits(0x23).equal(byte),
                        lanes.equal(byte).or(lanes.at_most(byte ^ 0x55)),
                    ]
                    .map(|lanes| lanes.bits())
                }};
            }
            assert_eq!(bits!(Lanes::new(chunk)), expected, "{byte}");
            assert_eq!(bits!(portable::Lanes::new(chunk)), expected, "{byte}");
        }
    }

    #[test]
    fn first_stop_is_found_at_each_offset() {
        for len in 0..70 {
            for stop in 0..=len {
                let mut text = vec![b'a'; len];
                text.iter_mut().skip(stop).step_by(3).for_each(|byte| *byte = b';');
                for at in 0..=len {
                    let expected = (at..len).find(|at| text[*at] == b';').unwrap_or(len);
                    let found = find(&text, at, |lanes| lanes.equal(b';'), |byte| byte == b';');
                    assert_eq!(found, expected, "{len} {stop} {at}");
                    let found =
                        find_roughly(&text, at, |lanes| lanes.equal(b';').or(lanes.equal(b'a')), |byte| byte == b';');
                    assert_eq!(found, expected, "{len} {stop} {at}, with every byte selected");
                }
            }
        }
    }

    #[test]
    fn every_line_is_returned_once() {
        for len in 0..300 {
            for (start, step) in [(0, 1), (1, 7), (63, 1), (64, 64), (5, 100), (400, 1)] {
                let mut message = vec![b'a'; len];
                message.iter_mut().skip(start).step_by(step).for_each(|byte| *byte = b'\n');
                let Some(mut starts) = LineStarts::new(&message) else {
                    assert!(len <= BLOCK, "{len} bytes are enough");
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
