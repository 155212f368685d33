//! The methods that the XDP program tells apart.

/// A request's method, if it is one that may be refused, or ACK. All others are never looked at further.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261. Refused while maintenance is on, unless the policy leaves it out.
    Invite = 0,
    /// RFC 3261. Never refused; dropped if it belongs to a response of ours.
    Ack = 1,
    /// RFC 3261. Refused if the policy says so, as the others below.
    Register = 2,
    /// RFC 6665.
    Subscribe = 3,
    /// RFC 3428.
    Message = 4,
    /// RFC 3903.
    Publish = 5,
    /// RFC 3261.
    Options = 6,
}

/// Shorter messages are no requests: `ACK a:b SIP/2.0` and its line end have 17 octets.
pub const SHORTEST_REQUEST: u32 = 16;

impl Method {
    /// The methods that a policy may refuse.
    pub const REFUSABLE: &[Self] =
        &[Self::Invite, Self::Register, Self::Subscribe, Self::Message, Self::Publish, Self::Options];

    /// The method of a message, and the length of its name with the space that follows.
    ///
    /// `first` are the message's first [`SHORTEST_REQUEST`] octets as words, the first octet in the lowest bits.
    /// Methods are case-sensitive (RFC 3261 section 7.1), and one space follows them.
    #[inline(always)]
    pub const fn of(first: [u64; 2]) -> Option<(Self, u32)> {
        let [word, next] = first;
        // Most messages are none of these, which their first octet says of nearly all.
        match word as u8 {
            b'I' if word & low_octets(7) == octets(b"INVITE ") => Some((Self::Invite, 7)),
            b'A' if word & low_octets(4) == octets(b"ACK ") => Some((Self::Ack, 4)),
            b'O' if word == octets(b"OPTIONS ") => Some((Self::Options, 8)),
            b'R' if word == octets(b"REGISTER") && next as u8 == b' ' => Some((Self::Register, 9)),
            b'S' if word == octets(b"SUBSCRIB") && next & low_octets(2) == octets(b"E ") => Some((Self::Subscribe, 10)),
            b'M' if word == octets(b"MESSAGE ") => Some((Self::Message, 8)),
            b'P' if word == octets(b"PUBLISH ") => Some((Self::Publish, 8)),
            _ => None,
        }
    }

    /// The method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Options => "OPTIONS",
        }
    }

    /// The method's bit in [`Policy::methods`](crate::maps::Policy::methods).
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Up to eight octets as the word that has them in its lowest bits.
const fn octets(text: &[u8]) -> u64 {
    let mut word = 0;
    let mut index = 0;
    while index < text.len() {
        word |= (text[index] as u64) << (8 * index);
        index += 1;
    }
    word
}

const fn low_octets(count: u32) -> u64 {
    (1 << (8 * count)) - 1
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Method;

    fn of(text: &str) -> Option<Method> {
        let mut first = [b'x'; 16];
        first[..text.len()].copy_from_slice(text.as_bytes());
        let (words, _) = first.as_chunks();
        let (method, length) = Method::of([words[0], words[1]].map(u64::from_le_bytes))?;
        assert_eq!(length as usize, method.name().len() + 1);
        Some(method)
    }

    #[test]
    fn each_method_is_known_by_its_name_and_a_space() {
        for method in Method::REFUSABLE.iter().chain([&Method::Ack]) {
            let name = method.name();
            assert_eq!(of(&std::format!("{name} ")), Some(*method));
            assert_eq!(of(name), None, "{name} goes on");
            assert_eq!(of(&std::format!("{} ", name.to_ascii_lowercase())), None, "{name} in lower case");
        }
        for other in ["BYE ", "CANCEL ", "PRACK ", "UPDATE ", "INFO ", "NOTIFY ", "REFER ", "SIP/2.0 "] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
