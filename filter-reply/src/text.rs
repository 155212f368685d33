//! Numbers and addresses as text on the stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

/// Enough for `;received=` with the longest IPv6 address (39) or IPv4-mapped one (22), and for what is written in one go.
const ROOM: usize = 56;

/// A short ASCII text.
#[derive(Clone, Debug)]
pub(super) struct Text(ArrayVec<u8, ROOM>);

impl Text {
    /// `start` and a decimal number.
    pub(super) fn decimal<const START: usize>(start: &[u8; START], number: u32) -> Self {
        let mut text = Self::new(start);
        text.push_decimal(number);
        text
    }

    /// `start` and an address as it stands in `received`: an IPv6 one without brackets (`via-received` in RFC 3261
    /// section 25.1; RFC 5118 section 4.5 asks receivers to take both), shortened as RFC 5952 section 4 says.
    pub(super) fn address<const START: usize>(start: &[u8; START], address: IpAddr) -> Self {
        let mut text = Self::new(start);
        match address {
            IpAddr::V4(address) => text.push_ipv4(address),
            IpAddr::V6(address) => text.push_ipv6(address),
        }
        text
    }

    pub(super) fn as_octets(&self) -> &[u8] {
        &self.0
    }

    #[inline(always)]
    fn new<const START: usize>(start: &[u8; START]) -> Self {
        let mut text = Self(ArrayVec::new());
        text.push_all(start, START);
        text
    }

    fn push(&mut self, octet: u8) {
        self.push_all(&[octet], 1);
    }

    /// Adds the first `count` of `octets`.
    ///
    /// All of them at first, since a copy of always as many need not ask how many.
    #[inline(always)]
    fn push_all<const LEN: usize>(&mut self, octets: &[u8; LEN], count: usize) {
        let len = self.0.len();
        if self.0.try_extend_from_slice(octets).is_ok() {
            self.0.truncate(len + count);
        }
    }

    #[inline(always)]
    fn push_decimal(&mut self, number: u32) {
        let (digits, len) = decimal(number);
        self.push_all(&digits, len);
    }

    #[inline(always)]
    fn push_ipv4(&mut self, address: Ipv4Addr) {
        for octet in address.octets() {
            self.push_all(&DOTTED[usize::from(octet)], 2 + usize::from(octet >= 10) + usize::from(octet >= 100));
        }
        // Without the last dot.
        self.0.pop();
    }

    fn push_ipv6(&mut self, address: Ipv6Addr) {
        if let Some(mapped) = address.to_ipv4_mapped() {
            self.push_all(b"::ffff:", 7);
            return self.push_ipv4(mapped);
        }
        let segments = address.segments();
        let (zeros, zeros_end) = longest_zeros(segments);
        for (index, segment) in segments.into_iter().enumerate() {
            if (zeros..zeros_end).contains(&index) {
                if index == zeros {
                    self.push_all(b"::", 2);
                }
                continue;
            }
            if index > 0 && index != zeros_end {
                self.push(b':');
            }
            self.push_hexadecimal(segment);
        }
    }

    fn push_hexadecimal(&mut self, number: u16) {
        let digits = (16 - (number | 1).leading_zeros()).div_ceil(4);
        for index in (0..digits).rev() {
            let value = (number >> (4 * index)) as u8 & 0xf;
            self.push(if value < 10 { b'0' + value } else { b'a' - 10 + value });
        }
    }
}

/// The digits of a decimal number, with zero octets behind them, and how many they are.
#[inline(always)]
pub(super) fn decimal(number: u32) -> ([u8; 16], usize) {
    const EIGHT: u32 = 100_000_000;
    if number < EIGHT {
        let lower = eight_digits(number);
        // All but the last may be zeros that lead.
        let zeros = (lower.trailing_zeros() / 8).min(7);
        let digits = (lower | ZEROS) >> (8 * zeros);
        return (u128::from(digits).to_le_bytes(), 8 - zeros as usize);
    }
    let lower = eight_digits(number % EIGHT);
    let upper = number / EIGHT;
    let two = upper >= 10;
    let upper = if two {
        u128::from(b'0' + (upper / 10) as u8) | u128::from(b'0' + (upper % 10) as u8) << 8
    } else {
        u128::from(b'0' + upper as u8)
    };
    let len = if two { 2 } else { 1 };
    ((upper | u128::from(lower | ZEROS) << (8 * len)).to_le_bytes(), 8 + len)
}

/// Eight times the digit zero.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8 as octets of 0 to 9, the first digit in the lowest octet.
///
/// Halves, quarters and eighths of the word are taken apart side by side: a multiplication and a shift divide each.
#[inline(always)]
const fn eight_digits(number: u32) -> u64 {
    let fours = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

/// Each number of an IPv4 address, with the dot after it.
static DOTTED: [[u8; 4]; 256] = {
    let mut table = [[0; 4]; 256];
    let mut number = 0;
    while number < table.len() {
        let digits = (eight_digits(number as u32) | ZEROS).to_le_bytes();
        let first = if number >= 100 {
            5
        } else if number >= 10 {
            6
        } else {
            7
        };
        let mut index = first;
        while index < digits.len() {
            table[number][index - first] = digits[index];
            index += 1;
        }
        table[number][index - first] = b'.';
        number += 1;
    }
    table
};

/// The first of the longest runs of at least two zero segments, from and to; `(8, 8)`, which is nowhere, if none.
fn longest_zeros(segments: [u16; 8]) -> (usize, usize) {
    let (mut best, mut start) = ((8, 8), 0);
    for (index, segment) in segments.into_iter().enumerate() {
        if segment != 0 {
            start = index + 1;
        } else if index + 1 - start > (best.1 - best.0).max(1) {
            best = (start, index + 1);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::Text;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn text(text: Text) -> String {
        String::from_utf8(text.as_octets().to_vec()).expect("ASCII")
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..10).map(|power| 10_u32.pow(power));
        let around =
            powers.flat_map(|power| [power - 1, power, power + 1, 9 * (power / 10), power / 3, u32::MAX - power]);
        for number in (0..=70_000).chain((0..=u32::MAX).step_by(40_009)).chain(around).chain([u32::MAX]) {
            assert_eq!(text(Text::decimal(b"=", number)), format!("={number}"));
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for octet in 0..=u8::MAX {
            let address = Ipv4Addr::new(octet, 198, 0, octet);
            assert_eq!(text(Text::address(b";received=", IpAddr::V4(address))), format!(";received={address}"));
        }
        let values = [0, 0, 0, 1, 0x10, 0xabc, 0xffff, 0x2001];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let segments = [0; 8].map(|_: u16| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                values[(seed >> 61) as usize]
            });
            let address = Ipv6Addr::from(segments);
            assert_eq!(text(Text::address(b";received=", IpAddr::V6(address))), format!(";received={address}"));
        }
        let mapped: Ipv6Addr = "::ffff:192.0.2.255".parse().expect("an address");
        assert_eq!(text(Text::address(b";received=", IpAddr::V6(mapped))), format!(";received={mapped}"));
    }
}
