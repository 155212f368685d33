//! The format of the inputs of the responder's target.
//!
//! A SIP message is an input as it is, so that the corpus can be used unchanged. A first byte below 9 selects another
//! kind.

/// An input of the responder's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'i> {
    /// A message, sent in a frame of the given shape.
    Message {
        /// Bits for IPv6 (1), VLAN tags (2), and IP options with padding (4).
        shape: u8,
        /// The SIP message.
        message: &'i [u8],
    },
    /// A message, sent in a frame of the given shape of which some bytes are overwritten.
    Edited {
        /// Bits as in [`Input::Message`].
        shape: u8,
        /// Offsets and new bytes.
        edits: &'i [[u8; 2]],
        /// The SIP message.
        message: &'i [u8],
    },
    /// A complete frame.
    Frame(&'i [u8]),
}

impl<'i> Input<'i> {
    /// Parses an input by its first byte.
    ///
    /// | first byte | rest |
    /// |---|---|
    /// | 0 | a frame |
    /// | 1 to 7, the shape | a message |
    /// | 8 | the shape, three edits of two bytes, a message |
    /// | any other | the whole input is a message |
    pub fn parse(bytes: &'i [u8]) -> Self {
        match bytes {
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
