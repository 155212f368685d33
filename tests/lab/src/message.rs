//! A parsed SIP message, as far as a test checks it: start line and headers in their order.

use std::fmt;

use anyhow::{Context as _, Result};

use crate::failure::OrFail as _;

/// Compact header names (RFC 3261 7.3.3) and the full ones.
const COMPACT: &[(&str, &str)] =
    &[("v", "Via"), ("f", "From"), ("t", "To"), ("i", "Call-ID"), ("l", "Content-Length"), ("m", "Contact")];

/// A received request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request line or status line.
    pub start_line: String,
    /// Names and values in their order, with folded lines joined.
    pub headers: Vec<(String, String)>,
    /// The whole datagram.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Parses a datagram.
    ///
    /// # Errors
    ///
    /// Returns an error if the datagram has no complete header block.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, _body) = text.split_once("\r\n\r\n").context("no empty line after the headers")?;
        let mut lines = head.split("\r\n");
        let start_line = lines.next().context("no start line")?.to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), headers.last_mut()) {
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').with_context(|| format!("no colon in header line {line:?}"))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(Self { start_line, headers, bytes: bytes.to_vec() })
    }

    /// Returns the status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start_line.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// Returns the method of a request.
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.start_line.split_once(' ')?;
        rest.ends_with("SIP/2.0").then_some(method)
    }

    /// Returns the value of the first header with this full name, also if the message has the compact form.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).next()
    }

    /// Returns the value of the first header with this name, as [`Self::header`] does.
    ///
    /// # Panics
    ///
    /// Panics if there is no such header.
    #[track_caller]
    pub fn require(&self, name: &str) -> &str {
        self.header(name).or_fail(format_args!("no {name} header in\n{self}"))
    }

    /// Returns the values of all headers with this full name, also of those in the compact form.
    pub fn header_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| is_same_name(found, name)).map(|(_, value)| value.as_str())
    }

    /// Returns the tag in a To or From value.
    pub fn tag<'a>(value: &'a str) -> Option<&'a str> {
        let after_uri = value.rsplit_once('>').map_or(value, |(_, after)| after);
        after_uri.split(';').find_map(|parameter: &'a str| parameter.trim().strip_prefix("tag="))
    }
}

impl fmt::Display for Message {
    /// Writes the message for a person to read: without carriage returns.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n").trim_end())
    }
}

/// Returns whether `found`, which may be compact, is the header `name`.
fn is_same_name(found: &str, name: &str) -> bool {
    let full = COMPACT.iter().find(|(compact, _)| found.eq_ignore_ascii_case(compact)).map_or(found, |(_, full)| full);
    full.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn response_with_compact_and_folded_headers_is_parsed() {
        let bytes = b"SIP/2.0 503 Maintenance\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\
            To: \"x;tag=no\" <sip:a;tag=no@b>\r\n ;tag=yes\r\nContent-Length: 0\r\n\r\n";
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.status(), Some(503));
        assert_eq!(message.method(), None);
        assert_eq!(message.header_all("Via").collect::<Vec<_>>(), ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]);
        assert_eq!(message.header("To").and_then(Message::tag), Some("yes"));
        assert_eq!(message.header("Retry-After"), None);
    }

    #[test]
    fn header_block_without_an_empty_line_is_an_error() {
        Message::parse(b"SIP/2.0 503 Maintenance\r\nContent-Length: 0\r\n").unwrap_err();
    }
}
