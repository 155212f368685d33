//! A SIP message taken apart, as far as a test looks at it: start line, headers in their order, body.

use std::fmt;

use anyhow::{Context as _, Result};

/// Compact header names (RFC 3261 7.3.3) and what they stand for.
const COMPACT: &[(&str, &str)] =
    &[("v", "Via"), ("f", "From"), ("t", "To"), ("i", "Call-ID"), ("l", "Content-Length"), ("m", "Contact")];

/// A received request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request line or status line.
    pub start_line: String,
    /// Names and values as they came, in their order, folded lines joined.
    pub headers: Vec<(String, String)>,
    /// The whole datagram.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Takes a datagram apart; an error if it has no header block that ends.
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

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start_line.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        let (method, rest) = self.start_line.split_once(' ')?;
        rest.ends_with("SIP/2.0").then_some(method)
    }

    /// The value of the first header with this name, also in its compact form.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Like [`Self::header`], but an error if the header is missing.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.header(name).with_context(|| format!("no {name} header in\n{self}"))
    }

    /// The values of all headers with this name, also in its compact form.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| same_name(found, name)).map(|(_, value)| value.as_str())
    }

    /// The tag in a To or From value.
    pub fn tag<'a>(value: &'a str) -> Option<&'a str> {
        let after_uri = value.rsplit_once('>').map_or(value, |(_, after)| after);
        after_uri.split(';').find_map(|parameter: &'a str| parameter.trim().strip_prefix("tag="))
    }
}

impl fmt::Display for Message {
    /// The message as a person reads it: one line each, without carriage returns.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n").trim_end())
    }
}

fn same_name(found: &str, name: &str) -> bool {
    let full = COMPACT.iter().find(|(compact, _)| found.eq_ignore_ascii_case(compact)).map_or(found, |(_, full)| full);
    full.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::Message;

    #[test]
    fn a_response_is_taken_apart() -> Result<()> {
        let bytes = b"SIP/2.0 503 Maintenance\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n\
            To: \"x;tag=no\" <sip:a;tag=no@b>\r\n ;tag=yes\r\nContent-Length: 0\r\n\r\n";
        let message = Message::parse(bytes)?;
        assert_eq!(message.status(), Some(503));
        assert_eq!(message.method(), None);
        assert_eq!(message.all("Via").collect::<Vec<_>>(), ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]);
        assert_eq!(message.header("To").and_then(Message::tag), Some("yes"));
        assert_eq!(message.header("Retry-After"), None);
        Ok(())
    }

    #[test]
    fn a_header_block_without_an_end_is_an_error() {
        assert!(Message::parse(b"SIP/2.0 503 Maintenance\r\nContent-Length: 0\r\n").is_err());
    }
}
