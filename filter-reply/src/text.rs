//! Numbers and addresses as text on the stack.
//!
//! The code for addresses is hand-written. A response to a typical INVITE takes 4000 instructions in all (callgrind,
//! x86-64). Formatting an IPv4 address with `itoa` would add 4 %, and an IPv6 address with `std::fmt` 25 %. Formatting
//! the port with `itoa` adds 0.3 %.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

use crate::byte_table::{ByteTable, byte_table};

/// Maximum length in bytes: `;received=` and an IPv6 address of 39 bytes.
const MAX_LEN: usize = 49;

/// A short ASCII text.
#[derive(Clone, Debug)]
pub(super) struct Text(ArrayVec<u8, MAX_LEN>);

impl Text {
    /// Creates a text from `start` and a decimal number.
    #[inline(always)]
    pub(super) fn decimal<const START: usize>(start: &[u8; START], number: u16) -> Self {
        let mut text = Self::new(start);
        text.push_all(itoa::Buffer::new().format(number).as_bytes());
        text
    }

    /// Creates a text from `start` and an address in the form of the `received` parameter.
    ///
    /// An IPv6 address has no brackets (`via-received` in RFC 3261 section 25.1; receivers should accept both, RFC 5118
    /// section 4.5) and is shortened (RFC 5952 section 4).
    pub(super) fn address<const START: usize>(start: &[u8; START], address: IpAddr) -> Self {
        let mut text = Self::new(start);
        match address {
            IpAddr::V4(address) => text.push_ipv4(address),
            IpAddr::V6(address) => text.push_ipv6(address),
        }
        text
    }

    /// Returns the text.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[inline(always)]
    fn new<const START: usize>(start: &[u8; START]) -> Self {
        let mut text = Self(ArrayVec::new());
        text.push_all(start);
        text
    }

    /// Appends `bytes`, which fit: see [`MAX_LEN`].
    #[inline(always)]
    fn push_all(&mut self, bytes: &[u8]) {
        let fits = self.0.try_extend_from_slice(bytes).is_ok();
        debug_assert!(fits, "a text of more than {MAX_LEN} bytes");
    }

    /// Appends the first `count` of `bytes`.
    ///
    /// Copies all of them and then truncates, because a copy of constant length is cheaper.
    #[inline(always)]
    fn push_first<const LEN: usize>(&mut self, bytes: &[u8; LEN], count: usize) {
        let len = self.0.len();
        self.push_all(bytes);
        self.0.truncate(len + count);
    }

    #[inline(always)]
    fn push_ipv4(&mut self, address: Ipv4Addr) {
        for number in address.octets() {
            self.push_first(&DOTTED.get(number), 2 + usize::from(number >= 10) + usize::from(number >= 100));
        }
        // The last dot.
        self.0.pop();
    }

    fn push_ipv6(&mut self, address: Ipv6Addr) {
        if let Some(mapped) = address.to_ipv4_mapped() {
            self.push_all(b"::ffff:");
            return self.push_ipv4(mapped);
        }
        let segments = address.segments();
        let (zeros_start, zeros_end) = longest_zeros(segments);
        for (index, segment) in segments.into_iter().enumerate() {
            if (zeros_start..zeros_end).contains(&index) {
                if index == zeros_start {
                    self.push_all(b"::");
                }
                continue;
            }
            if index > 0 && index != zeros_end {
                self.push_all(b":");
            }
            self.push_hexadecimal(segment);
        }
    }

    fn push_hexadecimal(&mut self, number: u16) {
        let digits = (16 - (number | 1).leading_zeros()).div_ceil(4);
        for index in (0..digits).rev() {
            let digit = (number >> (4 * index)) as u8 & 0xf;
            self.push_all(&[if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }]);
        }
    }
}

/// The numbers of an IPv4 address, each with a dot after it.
static DOTTED: ByteTable<[u8; 4]> = byte_table!(dotted);

/// Returns `number` in decimal with a dot after it, padded with zeros.
const fn dotted(number: u8) -> [u8; 4] {
    let digits = [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10];
    match (number, digits) {
        (100.., [hundreds, tens, ones]) => [hundreds, tens, ones, b'.'],
        (10.., [_, tens, ones]) => [tens, ones, b'.', 0],
        (_, [_, _, ones]) => [ones, b'.', 0, 0],
    }
}

/// Returns the start and the end of the first longest run of at least two zero segments, or `(8, 8)` if there is none.
fn longest_zeros(segments: [u16; 8]) -> (usize, usize) {
    let (mut longest, mut start) = ((8, 8), 0);
    for (index, segment) in segments.into_iter().enumerate() {
        if segment != 0 {
            start = index + 1;
        } else if index + 1 - start > (longest.1 - longest.0).max(1) {
            longest = (start, index + 1);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::Text;

    #[track_caller]
    fn assert_text(text: &Text, expected: &str) {
        assert_eq!(str::from_utf8(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn ports_are_written_as_std_writes_them() {
        for number in 0..=u16::MAX {
            assert_text(&Text::decimal(b"=", number), &format!("={number}"));
        }
    }

    #[test]
    fn ipv4_addresses_are_written_as_std_writes_them() {
        for number in 0..=u8::MAX {
            let address = Ipv4Addr::new(number, 198, 0, number);
            assert_text(&Text::address(b";received=", IpAddr::V4(address)), &format!(";received={address}"));
        }
    }

    #[test]
    fn ipv6_addresses_are_written_as_std_writes_them() {
        let values = [0, 0, 0, 1, 0x10, 0xabc, 0xffff, 0x2001];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let segments = [0; 8].map(|_: u16| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                values[(seed >> 61) as usize]
            });
            let address = Ipv6Addr::from(segments);
            assert_text(&Text::address(b";received=", IpAddr::V6(address)), &format!(";received={address}"));
        }
        for address in ["::ffff:192.0.2.255", "2001:db8:1111:2222:3333:4444:5555:6666"] {
            let address: Ipv6Addr = address.parse().unwrap();
            assert_text(&Text::address(b";received=", IpAddr::V6(address)), &format!(";received={address}"));
        }
    }
}
