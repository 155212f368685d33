//! Numbers and addresses as text on the stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Enough for the longest IPv6 address (39) and IPv4-mapped one (22).
const ROOM: usize = 40;

/// A short ASCII text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    octets: [u8; ROOM],
    len: usize,
}

impl Text {
    const EMPTY: Self = Self { octets: [0; ROOM], len: 0 };

    /// A decimal number.
    pub(super) fn decimal(number: u32) -> Self {
        let mut text = Self::EMPTY;
        text.push_decimal(number);
        text
    }

    /// An address as it stands in `received`: an IPv6 one without brackets (`via-received` in RFC 3261 section 25.1;
    /// RFC 5118 section 4.5 asks receivers to take both), shortened as RFC 5952 section 4 says.
    pub(super) fn address(address: IpAddr) -> Self {
        let mut text = Self::EMPTY;
        match address {
            IpAddr::V4(address) => text.push_ipv4(address),
            IpAddr::V6(address) => text.push_ipv6(address),
        }
        text
    }

    pub(super) fn as_octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.len) {
            *place = octet;
            self.len += 1;
        }
    }

    fn push_decimal(&mut self, number: u32) {
        // From the last digit on: a division by a constant is a multiplication.
        let mut digits = [0; 10];
        let mut rest = number;
        let mut first = digits.len();
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                first = index;
                break;
            }
        }
        digits.iter().skip(first).for_each(|digit| self.push(*digit));
    }

    fn push_octet(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }

    fn push_ipv4(&mut self, address: Ipv4Addr) {
        for (index, octet) in address.octets().into_iter().enumerate() {
            if index > 0 {
                self.push(b'.');
            }
            self.push_octet(octet);
        }
    }

    fn push_ipv6(&mut self, address: Ipv6Addr) {
        if let Some(mapped) = address.to_ipv4_mapped() {
            b"::ffff:".iter().for_each(|octet| self.push(*octet));
            return self.push_ipv4(mapped);
        }
        let segments = address.segments();
        let (zeros, zeros_end) = longest_zeros(segments);
        for (index, segment) in segments.into_iter().enumerate() {
            if (zeros..zeros_end).contains(&index) {
                if index == zeros {
                    b"::".iter().for_each(|octet| self.push(*octet));
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
        for number in [0, 1, 9, 10, 99, 100, 5060, 65535, 999_999_999, 1_000_000_000, u32::MAX] {
            assert_eq!(text(Text::decimal(number)), number.to_string());
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for octet in 0..=u8::MAX {
            let address = Ipv4Addr::new(octet, 198, 0, octet);
            assert_eq!(text(Text::address(IpAddr::V4(address))), address.to_string());
        }
        let values = [0, 0, 0, 1, 0x10, 0xabc, 0xffff, 0x2001];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let segments = [0; 8].map(|_: u16| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                values[(seed >> 61) as usize]
            });
            let address = Ipv6Addr::from(segments);
            assert_eq!(text(Text::address(IpAddr::V6(address))), address.to_string());
        }
        let mapped: Ipv6Addr = "::ffff:192.0.2.255".parse().expect("an address");
        assert_eq!(text(Text::address(IpAddr::V6(mapped))), mapped.to_string());
    }
}
