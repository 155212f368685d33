//! The Internet checksum (RFC 1071), written for the tests alone so that it verifies the product's.

use std::net::IpAddr;

/// Protocol number of UDP.
const UDP: u8 = 17;

/// Returns the checksum over `bytes`, ready for a header. Over bytes that include a correct checksum it is 0.
pub fn internet(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += (u32::from(pair[0]) << 8) | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Returns the checksum over a UDP datagram (header and payload) with its pseudo-header (RFC 768, RFC 8200 8.1).
pub fn udp(source: IpAddr, destination: IpAddr, datagram: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    // The IPv6 pseudo-header: a length of four bytes and three zeros. IPv4 has fewer zeros, and the same sum.
    bytes.extend((datagram.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, UDP]);
    bytes.extend(datagram);
    internet(&bytes)
}

#[cfg(test)]
mod tests {
    use super::{internet, udp};

    #[test]
    fn internet_checksum_of_the_example_in_rfc_1071_is_right() {
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn udp_checksum_over_a_datagram_with_its_checksum_is_zero() {
        let (source, destination) = ("198.18.0.1".parse().unwrap(), "198.18.0.2".parse().unwrap());
        let mut datagram = vec![0x13, 0xc4, 0x13, 0xc4, 0, 11, 0, 0, b'a', b'b', b'c'];
        let sum = udp(source, destination, &datagram);
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(udp(source, destination, &datagram), 0);
        datagram[9] ^= 1;
        assert_ne!(udp(source, destination, &datagram), 0);
    }
}
