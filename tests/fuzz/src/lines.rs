//! A message as lines, by string splitting: the targets' own idea of where headers begin and end.

use std::ops::Range;

/// Where the lines of a message's head are, as offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first octet of the start line.
    pub start: usize,
    /// The first octet after the start line's newline.
    pub headers: usize,
    /// The first octet after the empty line.
    pub end: usize,
}

impl Head {
    /// The head of `message`. `None`: there is no empty line.
    pub fn of(message: &[u8]) -> Option<Self> {
        let start = message.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
        let mut at = start;
        let mut headers = None;
        for line in message[start..].split_inclusive(|octet| *octet == b'\n') {
            at += line.len();
            match headers {
                None if line.ends_with(b"\n") => headers = Some(at),
                Some(headers) if line == b"\n" || line == b"\r\n" => return Some(Self { start, headers, end: at }),
                _ => {}
            }
        }
        None
    }

    /// The values of the headers called `To` or `t`, without the white space around them.
    pub fn to_values(&self, message: &[u8]) -> Vec<Range<usize>> {
        let mut values = vec![];
        let mut at = self.headers;
        while at < self.end {
            let end = self.end_of_header(message, at);
            let header = &message[at..end];
            if let Some(colon) = header.iter().position(|octet| *octet == b':') {
                // White space, but no fold, may stand before the colon.
                let spaces = header[..colon].iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
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

    /// After the newline that no white space follows.
    fn end_of_header(&self, message: &[u8], start: usize) -> usize {
        let mut at = start;
        for line in message[start..self.end].split_inclusive(|octet| *octet == b'\n') {
            if at > start && !line.starts_with(b" ") && !line.starts_with(b"\t") {
                break;
            }
            at += line.len();
        }
        at
    }
}
