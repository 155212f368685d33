//! The header section of a message, found by string splitting and without the grammar under test.

use std::ops::Range;

/// Offsets in the head of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// First byte of the start line.
    pub start: usize,
    /// First byte after the newline of the start line.
    pub headers: usize,
    /// First byte after the empty line.
    pub end: usize,
}

impl Head {
    /// Returns the head of `message`, or `None` if there is no empty line.
    pub fn find(message: &[u8]) -> Option<Self> {
        let start = message.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let mut at = start;
        let mut headers = None;
        for line in message[start..].split_inclusive(|byte| *byte == b'\n') {
            at += line.len();
            match headers {
                None if line.ends_with(b"\n") => headers = Some(at),
                Some(headers) if line == b"\n" || line == b"\r\n" => return Some(Self { start, headers, end: at }),
                _ => {}
            }
        }
        None
    }

    /// Returns the ranges of the values of all headers called `To` or `t`, without the white space around them.
    pub fn to_values(&self, message: &[u8]) -> Vec<Range<usize>> {
        let mut values = vec![];
        let mut at = self.headers;
        while at < self.end {
            let end = self.end_of_header(message, at);
            let header = &message[at..end];
            if let Some(colon) = header.iter().position(|byte| *byte == b':') {
                // Spaces and tabs may precede the colon, but not a fold.
                let spaces = header[..colon].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                let name = &header[..colon - spaces];
                let is_to = name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t");
                if is_to {
                    let value = &header[colon + 1..];
                    let start = end - value.trim_ascii_start().len();
                    values.push(start..start + value.trim_ascii().len());
                }
            }
            at = end;
        }
        values
    }

    /// Returns the end of the header that starts at `start`, after its continuation lines.
    fn end_of_header(&self, message: &[u8], start: usize) -> usize {
        let mut at = start;
        for line in message[start..self.end].split_inclusive(|byte| *byte == b'\n') {
            if at > start && !line.starts_with(b" ") && !line.starts_with(b"\t") {
                break;
            }
            at += line.len();
        }
        at
    }
}
