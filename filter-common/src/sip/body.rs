//! The check that a datagram holds one message: that nothing follows the body that `Content-Length` announces.
//!
//! In generic mode the kernel may have merged several datagrams into one before the XDP program sees it (GSO, GRO). To
//! the program, all messages after the first look like the body of the first.

use core::ops::ControlFlow;

use zerocopy::FromBytes;

use super::scan::{Message, advanced};
use crate::words::{Spelling, first_marked, marks_below};

/// Maximum number of words that one step skips.
const WORDS_PER_STEP: u32 = 32;

/// Maximum number of bytes of a value that one step reads.
const BYTES_PER_STEP: u32 = 32;

/// The part of a line that the scan reads next.
#[repr(u32)]
#[derive(Clone, Copy)]
enum Phase {
    /// The beginning of a line.
    Line,
    /// The colon after the name of a Content-Length header.
    Colon,
    /// The white space before the number, also on a folded line.
    Space,
    /// The digits of the number.
    Digits,
    /// The white space after the number.
    Rest,
    /// The rest of another line.
    Skip,
}

/// A search for the Content-Length header of a message, in steps of bounded cost.
///
/// The fields are plain numbers for the reason that [`Scan`](super::Scan) has.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes)]
pub struct BodyScan {
    /// Offset of the next byte to read.
    position: u32,
    /// Offset of the empty line after the headers.
    headers_end: u32,
    /// The [`Phase`] as a number.
    phase: u32,
    /// Number of Content-Length headers so far.
    headers: u32,
    /// Value of the header, at most [`MOST`].
    value: u32,
}

/// Upper bound for a value: more than a datagram can hold.
const MOST: u32 = 1 << 20;

impl BodyScan {
    /// Creates a search in a message whose headers end with an empty line at `headers_end`.
    pub fn new(headers_end: u32) -> Self {
        let mut scan = Self::default();
        scan.restart(headers_end);
        scan
    }

    /// Starts over with another message.
    #[inline(always)]
    pub const fn restart(&mut self, headers_end: u32) {
        *self = Self { position: 0, headers_end, phase: Phase::Line as u32, headers: 0, value: 0 };
    }

    /// Runs one step. Returns the length of the body that the message announces, or `Continue` if the search needs
    /// another step.
    ///
    /// Breaks with `None` if the message has no Content-Length header, several, or an invalid one. Each step reads at
    /// least one byte, or enters another phase, which happens at most four times in a line.
    #[inline(always)]
    pub fn step<M: Message + ?Sized>(&mut self, message: &M) -> ControlFlow<Option<u32>> {
        if self.position >= self.headers_end {
            let is_valid = self.headers == 1 && self.phase == Phase::Line as u32;
            return ControlFlow::Break(is_valid.then_some(self.value));
        }
        if self.phase == Phase::Line as u32 {
            self.line(message);
        } else if self.phase == Phase::Skip as u32 {
            self.skip(message);
        } else {
            return self.value(message);
        }
        ControlFlow::Continue(())
    }

    /// Reads the beginning of a line.
    #[inline(always)]
    fn line<M: Message + ?Sized>(&mut self, message: &M) {
        const CONTENT_: Spelling = Spelling::new(b"content-");
        const LENGTH: Spelling = Spelling::new(b"length");
        let word = message.word(self.position);
        let name_len = if word as u8 | 0x20 == b'l' {
            1
        } else if CONTENT_.is_prefix_of(word) && LENGTH.is_prefix_of(message.word(self.position + 8)) {
            14
        } else {
            0
        };
        self.position = advanced(self.position, name_len);
        self.phase = if name_len > 0 { Phase::Colon } else { Phase::Skip } as u32;
    }

    /// Skips the rest of a line.
    #[inline(always)]
    fn skip<M: Message + ?Sized>(&mut self, message: &M) {
        for _ in 0..WORDS_PER_STEP {
            let found = marks_below(message.word(self.position), b'\n' + 1);
            if found == 0 {
                self.position = advanced(self.position, 8);
                continue;
            }
            let at = advanced(self.position, first_marked(found));
            self.position = advanced(at, 1);
            if message.byte(at) == b'\n' {
                self.phase = Phase::Line as u32;
                break;
            }
        }
    }

    /// Reads the rest of a Content-Length header.
    #[inline(always)]
    fn value<M: Message + ?Sized>(&mut self, message: &M) -> ControlFlow<Option<u32>> {
        for _ in 0..BYTES_PER_STEP {
            let byte = message.byte(self.position);
            let next = message.byte(self.position + 1);
            let is_blank = matches!(byte, b' ' | b'\t' | b'\r') || byte == b'\n' && matches!(next, b' ' | b'\t');
            let digit = byte.wrapping_sub(b'0');
            if self.phase == Phase::Colon as u32 {
                match byte {
                    b' ' | b'\t' => {}
                    b':' => self.phase = Phase::Space as u32,
                    // Another header, whose name begins in the same way.
                    _ => {
                        self.phase = Phase::Skip as u32;
                        return ControlFlow::Continue(());
                    }
                }
            } else if digit < 10 && self.phase != Phase::Rest as u32 {
                if self.phase == Phase::Space as u32 {
                    self.headers += 1;
                    self.value = 0;
                    self.phase = Phase::Digits as u32;
                }
                self.value = self.value * 10 + u32::from(digit);
                if self.value > MOST {
                    self.value = MOST;
                }
            } else if is_blank {
                if self.phase == Phase::Digits as u32 {
                    self.phase = Phase::Rest as u32;
                }
            } else if byte == b'\n' && self.phase != Phase::Space as u32 {
                self.position = advanced(self.position, 1);
                self.phase = Phase::Line as u32;
                return ControlFlow::Continue(());
            } else {
                return ControlFlow::Break(None);
            }
            self.position = advanced(self.position, 1);
        }
        ControlFlow::Continue(())
    }
}

/// Returns whether a message of `len` bytes may be followed by another one in its datagram.
///
/// `headers_end` is the offset of the empty line after its headers. A message with a body of unknown length may be.
pub fn may_hold_several(message: &[u8], headers_end: u32) -> bool {
    let body = body_len(message, headers_end, message.len() as u32);
    if body == 0 {
        return false;
    }
    let mut scan = BodyScan::new(headers_end);
    loop {
        if let ControlFlow::Break(announced) = scan.step(message) {
            return announced.is_none_or(|announced| announced < body);
        }
    }
}

/// Returns the number of bytes after the headers of a message of `end` bytes, whose headers end with an empty line at
/// `headers_end`.
#[inline(always)]
pub fn body_len<M: Message + ?Sized>(message: &M, headers_end: u32, end: u32) -> u32 {
    let line_end = if message.byte(headers_end) == b'\r' { 2 } else { 1 };
    end.saturating_sub(headers_end + line_end)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use rstest::rstest;

    use super::may_hold_several;

    #[track_caller]
    fn assert_several(headers: &str, body: &str, expected: bool) {
        let message = format!("INVITE sip:l@content-length SIP/2.0\r\n{headers}\r\n{body}");
        let headers_end = (message.len() - body.len() - 2) as u32;
        assert_eq!(may_hold_several(message.as_bytes(), headers_end), expected, "{message:?}");
    }

    #[rstest]
    #[case::none("To: <sip:b>\r\n", "")]
    #[case::none_and_a_length_of_zero("Content-Length: 0\r\n", "")]
    #[case::as_long_as_announced("Content-Length: 3\r\n", "v=0")]
    #[case::shorter_than_announced("Content-Length: 4\r\n", "v=0")]
    #[case::compact("l:3\r\n", "v=0")]
    #[case::compact_capital("L : 3 \r\n", "v=0")]
    #[case::any_case("cOnTENT-lENGTH\t:\t3\t\r\n", "v=0")]
    #[case::folded("Content-Length:\r\n 3\r\n", "v=0")]
    #[case::folded_after_the_number("Content-Length: 3\r\n \r\n", "v=0")]
    #[case::bare_line_feeds("Content-Length: 3\nTo: <sip:b>\r\n", "v=0")]
    #[case::leading_zeros("Content-Length: 0000000000000003\r\n", "v=0")]
    #[case::huge("Content-Length: 99999999999999999999\r\n", "v=0")]
    #[case::among_others("Content-Language: en\r\nLocation: x\r\nContent-Length: 3\r\nl-x: 1\r\n", "v=0")]
    #[case::last_line("Content-Type: application/sdp\r\nContent-Length: 3\r\n", "v=0")]
    fn body_that_content_length_covers_is_one_message(#[case] headers: &str, #[case] body: &str) {
        assert_several(headers, body, false);
    }

    #[rstest]
    #[case::beyond_content_length("Content-Length: 2\r\n", "v=0")]
    #[case::beyond_a_length_of_zero("Content-Length: 0\r\n", "INVITE sip:b SIP/2.0\r\n")]
    #[case::without_content_length("To: <sip:b>\r\n", "v=0")]
    #[case::two_lengths("Content-Length: 3\r\nl: 3\r\n", "v=0")]
    #[case::not_a_number("Content-Length: x\r\n", "v=0")]
    #[case::empty("Content-Length: \r\n", "v=0")]
    #[case::negative("Content-Length: -3\r\n", "v=0")]
    #[case::two_numbers("Content-Length: 3 3\r\n", "v=0")]
    #[case::number_and_text("Content-Length: 3;x\r\n", "v=0")]
    #[case::in_another_header("X: Content-Length: 3\r\n", "v=0")]
    #[case::in_the_body("To: <sip:b>\r\n", "Content-Length: 3\r\n")]
    fn body_that_content_length_does_not_cover_may_be_several(#[case] headers: &str, #[case] body: &str) {
        assert_several(headers, body, true);
    }

    #[test]
    fn body_is_found_after_long_lines_and_many_lines() {
        for length in 0..600 {
            assert_several(&format!("X: {}\r\nContent-Length: 3\r\n", "é".repeat(length)), "v=0", false);
            assert_several(&format!("{}Content-Length: 2\r\n", "l\t\r\n \r\n".repeat(length % 9)), "v=0", true);
        }
    }
}
