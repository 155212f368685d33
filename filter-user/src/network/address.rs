//! The addresses of this host.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

/// An address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Index of the interface that it is assigned to.
    pub(crate) ifindex: u32,
    /// Address.
    pub(crate) ip: IpAddr,
    /// Broadcast address of its network; `None` if the network has none.
    pub(crate) broadcast: Option<Ipv4Addr>,
}

impl Address {
    /// Reads an address from a message of rtnetlink. Returns `None` if the host does not use it (yet).
    ///
    /// On a point-to-point link, `IFA_LOCAL` is the address of this host, and `IFA_ADDRESS` that of the other end.
    pub(super) fn from_message(message: AddressMessage) -> Option<Self> {
        let (mut local, mut address, mut broadcast, mut flags) = (None, None, None, AddressFlags::empty());
        for attribute in message.attributes {
            match attribute {
                AddressAttribute::Local(found) => local = Some(found),
                AddressAttribute::Address(found) => address = Some(found),
                AddressAttribute::Broadcast(found) => broadcast = Some(found),
                AddressAttribute::Flags(found) => flags = found,
                _ => {}
            }
        }
        if !is_in_use(flags) {
            return None;
        }
        let ip = local.or(address)?;
        let broadcast = broadcast.or_else(|| last_of_network(ip, message.header.prefix_len));
        Some(Self { ifindex: message.header.index, ip, broadcast })
    }
}

/// Returns whether the host uses an address. During duplicate address detection (RFC 4862 section 5.4) it does not,
/// unless the address is optimistic (RFC 4429), and after it has failed the address is another host's.
fn is_in_use(flags: AddressFlags) -> bool {
    let is_tentative = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    !is_tentative && !flags.contains(AddressFlags::Dadfailed)
}

/// Returns the last address of an IPv4 network, which is its broadcast address also if none is set
/// (`fib_add_ifaddr()`); `None` for networks of one or two addresses (RFC 3021).
fn last_of_network(address: IpAddr, prefix_len: u8) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) if prefix_len < 31 => {
            let hosts = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() | hosts))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

    use super::Address;

    fn message(prefix_len: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = 3;
        message.header.prefix_len = prefix_len;
        message.attributes = attributes;
        message
    }

    fn ip(text: &str) -> std::net::IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn address_of_a_point_to_point_link_is_that_of_this_end() {
        let attributes = vec![AddressAttribute::Address(ip("198.18.0.9")), AddressAttribute::Local(ip("198.18.0.1"))];
        let address = Address::from_message(message(32, attributes)).unwrap();
        assert_eq!(address, Address { ifindex: 3, ip: ip("198.18.0.1"), broadcast: None });
    }

    #[test]
    fn network_without_a_set_broadcast_address_has_its_last_address() {
        let address = |prefix_len| {
            Address::from_message(message(prefix_len, vec![AddressAttribute::Address(ip("198.18.1.2"))])).unwrap()
        };
        assert_eq!(address(24).broadcast, "198.18.1.255".parse().ok());
        assert_eq!(address(8).broadcast, "198.255.255.255".parse().ok());
        assert_eq!(address(31).broadcast, None);
        let set = vec![
            AddressAttribute::Address(ip("198.18.1.2")),
            AddressAttribute::Broadcast("198.18.1.127".parse().unwrap()),
        ];
        assert_eq!(Address::from_message(message(24, set)).unwrap().broadcast, "198.18.1.127".parse().ok());
    }

    #[test]
    fn address_in_duplicate_detection_is_not_in_use() {
        let is_in_use = |flags| {
            let attributes = vec![AddressAttribute::Address(ip("2001:db8::1")), AddressAttribute::Flags(flags)];
            Address::from_message(message(64, attributes)).is_some()
        };
        assert!(is_in_use(AddressFlags::Permanent));
        assert!(is_in_use(AddressFlags::Deprecated));
        assert!(!is_in_use(AddressFlags::Tentative));
        assert!(is_in_use(AddressFlags::Tentative | AddressFlags::Optimistic));
        assert!(!is_in_use(AddressFlags::Permanent | AddressFlags::Dadfailed));
        assert!(!is_in_use(AddressFlags::Tentative | AddressFlags::Dadfailed));
    }
}
