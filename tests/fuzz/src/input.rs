//! What the octets of an input mean to the responder's target.
//!
//! A SIP message is an input as it is, so that the corpus is one; a first octet below 9 makes it something else.

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'i> {
    /// A message, in a frame whose shape has three bits: IPv6, VLAN tags, options.
    Message {
        /// The bits.
        shape: u8,
        /// The message.
        message: &'i [u8],
    },
    /// A message in such a frame, some octets of which are then overwritten.
    Edited {
        /// The bits.
        shape: u8,
        /// Offsets and new octets.
        edits: &'i [[u8; 2]],
        /// The message.
        message: &'i [u8],
    },
    /// A whole frame.
    Frame(&'i [u8]),
}

impl<'i> Input<'i> {
    /// Reads an input: `0` and a frame; `1` to `7`, which is the shape, and a message; `8`, a shape, three edits and a
    /// message; or just a message.
    pub fn of(octets: &'i [u8]) -> Self {
        match octets {
            [0, frame @ ..] => Self::Frame(frame),
            [shape @ 1..8, message @ ..] => Self::Message { shape: *shape, message },
            [8, shape, rest @ ..] if rest.len() >= 6 => {
                let (edits, message) = rest.split_at(6);
                Self::Edited { shape: *shape, edits: edits.as_chunks().0, message }
            }
            message => Self::Message { shape: 0, message },
        }
    }
}
