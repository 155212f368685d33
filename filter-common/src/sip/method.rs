//! The methods of SIP: which may be refused, and which never are.
//!
//! A method may be refused if it begins something new, so that its refusal harms no established call. All others belong
//! to calls that are established, being set up or being ended. The table of [`Method`] gives the reason for each.

use crate::words::{begins_with, pack};

macro_rules! methods {
    (
        refusable { $($(#[$refusable_meta:meta])+ $refusable:ident => $refusable_name:literal,)+ }
        never { $($(#[$never_meta:meta])+ $never:ident => $never_name:literal,)+ }
    ) => {
        /// The method of a SIP request.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$refusable_meta])+ $refusable,)+
            $($(#[$never_meta])+ $never,)+
        }

        impl Method {
            /// The methods that a policy may refuse.
            pub const REFUSABLE: &[Self] = &[$(Self::$refusable,)+];

            /// The methods that are never refused.
            pub const NEVER_REFUSED: &[Self] = &[$(Self::$never,)+];

            /// Returns the name of the method as requests have it.
            #[inline(always)]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$refusable => $refusable_name,)+
                    $(Self::$never => $never_name,)+
                }
            }

            /// Returns the method with this name, which is case-sensitive (RFC 3261 section 7.1).
            ///
            /// Returns `None` for extension methods, which are never refused either.
            #[inline(always)]
            pub fn from_bytes(name: &[u8]) -> Option<Self> {
                $(if name == const { Self::$refusable.as_str().as_bytes() } {
                    return Some(Self::$refusable);
                })+
                $(if name == const { Self::$never.as_str().as_bytes() } {
                    return Some(Self::$never);
                })+
                None
            }
        }
    };
}

methods! {
    refusable {
        /// Sets up a call (RFC 3261 section 13). Within a dialog it changes an established call, and is not refused.
        Invite => "INVITE",
        /// Registers a phone (RFC 3261 section 10).
        Register => "REGISTER",
        /// Subscribes to an event (RFC 6665).
        Subscribe => "SUBSCRIBE",
        /// Sends a text (RFC 3428).
        Message => "MESSAGE",
        /// Publishes an event's state (RFC 3903).
        Publish => "PUBLISH",
        /// Asks for capabilities, often as a health check (RFC 3261 section 11).
        Options => "OPTIONS",
    }
    never {
        /// Completes the handshake of an INVITE and has no response at all (RFC 3261 section 17.1.1.3).
        Ack => "ACK",
        /// Ends an established call (RFC 3261 section 15).
        Bye => "BYE",
        /// Ends a call that is being set up (RFC 3261 section 9).
        Cancel => "CANCEL",
        /// Acknowledges a provisional response while a call is being set up (RFC 3262).
        Prack => "PRACK",
        /// Changes the session of a call before or after its establishment (RFC 3311).
        Update => "UPDATE",
        /// Carries application data within an established call (RFC 6086).
        Info => "INFO",
        /// Reports an event within a subscription (RFC 6665).
        Notify => "NOTIFY",
        /// Transfers an established call (RFC 3515).
        Refer => "REFER",
    }
}

/// Length in bytes below which a message cannot be a request: `ACK a:b SIP/2.0` and a bare LF are 16 bytes long.
pub const SHORTEST_REQUEST: u32 = 16;

impl Method {
    /// Returns whether a policy may refuse the method.
    #[inline(always)]
    pub const fn is_refusable(self) -> bool {
        (self as usize) < Self::REFUSABLE.len()
    }

    /// Returns the method of a request if the XDP program acts on it, and the length of its name with the following
    /// space.
    ///
    /// These are the refusable methods and ACK. All others pass without further inspection. `first` is the first
    /// [`SHORTEST_REQUEST`] bytes of the message as [words](crate::words). Exactly one space follows a method (RFC 3261
    /// section 7.1).
    #[inline(always)]
    pub const fn from_first_words(first: [u64; 2]) -> Option<(Self, u32)> {
        let [word, next] = first;
        // The first byte alone rules out nearly all messages that are none of these.
        match word as u8 {
            b'I' if begins_with(word, b"INVITE ") => Some((Self::Invite, 7)),
            b'A' if begins_with(word, b"ACK ") => Some((Self::Ack, 4)),
            b'O' if word == pack(b"OPTIONS ") => Some((Self::Options, 8)),
            b'R' if word == pack(b"REGISTER") && next as u8 == b' ' => Some((Self::Register, 9)),
            b'S' if word == pack(b"SUBSCRIB") && begins_with(next, b"E ") => Some((Self::Subscribe, 10)),
            b'M' if word == pack(b"MESSAGE ") => Some((Self::Message, 8)),
            b'P' if word == pack(b"PUBLISH ") => Some((Self::Publish, 8)),
            _ => None,
        }
    }

    /// Returns the bit of the method in [`Policy::methods`](crate::maps::Policy::methods).
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::Method;

    fn all() -> impl Iterator<Item = Method> {
        Method::REFUSABLE.iter().chain(Method::NEVER_REFUSED).copied()
    }

    #[track_caller]
    fn from_first_words(text: &str) -> Option<Method> {
        let mut first = [b'x'; 16];
        first[..text.len()].copy_from_slice(text.as_bytes());
        let (words, _) = first.as_chunks();
        let (method, length) = Method::from_first_words([words[0], words[1]].map(u64::from_le_bytes))?;
        assert_eq!(length as usize, method.as_str().len() + 1);
        Some(method)
    }

    #[test]
    fn each_method_is_parsed_from_its_name_only() {
        for method in all() {
            let name = method.as_str();
            assert_eq!(Method::from_bytes(name.as_bytes()), Some(method));
            let without_first = name.chars().skip(1).collect();
            for other in [format!("{name} "), format!("{name}X"), without_first, name.to_ascii_lowercase()] {
                assert_eq!(Method::from_bytes(other.as_bytes()), None, "{other:?}");
            }
        }
        assert_eq!(Method::from_bytes(b""), None);
    }

    #[test]
    fn refusable_methods_are_those_of_the_table() {
        for method in all() {
            assert_eq!(method.is_refusable(), Method::REFUSABLE.contains(&method), "{method:?}");
            assert_ne!(method.is_refusable(), Method::NEVER_REFUSED.contains(&method), "{method:?}");
        }
    }

    #[test]
    fn the_first_words_name_refusable_methods_and_ack_only() {
        for method in all() {
            let name = method.as_str();
            let acted_on = method.is_refusable() || method == Method::Ack;
            assert_eq!(from_first_words(&format!("{name} ")), acted_on.then_some(method));
            assert_eq!(from_first_words(name), None, "{name} goes on");
            assert_eq!(from_first_words(&format!("{} ", name.to_ascii_lowercase())), None, "{name} in lower case");
        }
        assert_eq!(from_first_words("SIP/2.0 "), None);
    }
}
