//! A parser of responses by string splitting: slow, simple, and independent of the code under test.

use crate::PREFIX;

/// A header with its continuation lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Full name in lower case.
    pub(crate) name: String,
    /// All bytes, with line ends.
    pub(crate) line: Vec<u8>,
}

/// A response, or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) start_line: Vec<u8>,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Splits a request into headers, without lines that have no colon and their continuations.
    pub(crate) fn parse_leniently(message: &[u8]) -> Self {
        let mut lines = vec![];
        let mut is_kept = true;
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            let is_end = line == b"\r\n" || line == b"\n";
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                is_kept = is_end || lines.is_empty() || line.contains(&b':');
            }
            if is_kept {
                lines.push(line);
            }
            if is_end {
                break;
            }
        }
        Self::parse(&lines.concat())
    }

    /// Splits `message` into headers. Panics if they have no end, or a line has no colon.
    #[track_caller]
    pub(crate) fn parse(message: &[u8]) -> Self {
        let mut lines = message.split_inclusive(|byte| *byte == b'\n').peekable();
        let start_line = lines.next().expect("a start line").to_vec();
        let mut headers = vec![];
        loop {
            let mut line = lines.next().expect("an empty line after the headers").to_vec();
            assert!(line.ends_with(b"\n"), "truncated: {}", message.escape_ascii());
            if line == b"\r\n" || line == b"\n" {
                break;
            }
            while lines.peek().is_some_and(|next| next.starts_with(b" ") || next.starts_with(b"\t")) {
                line.extend(lines.next().expect("the line that was peeked"));
            }
            let name = full_name(&line).unwrap_or_else(|| panic!("no colon: {}", line.escape_ascii()));
            headers.push(Header { name, line });
        }
        Self { start_line, headers, body: lines.flatten().copied().collect() }
    }

    /// Returns the lines of all headers called `name`.
    pub(crate) fn lines(&self, name: &str) -> Vec<&[u8]> {
        self.headers.iter().filter(|header| header.name == name).map(|header| &header.line[..]).collect()
    }

    /// Returns the only header called `name` without its line end, as text with escaped non-ASCII bytes.
    #[track_caller]
    pub(crate) fn line(&self, name: &str) -> String {
        let lines = self.lines(name);
        assert_eq!(lines.len(), 1, "{name} in {self:?}");
        text(lines[0])
    }

    /// Returns the first Via line in the form of [`line`](Self::line).
    #[track_caller]
    pub(crate) fn top_via(&self) -> String {
        text(self.lines("via").first().expect("a Via header"))
    }

    /// Returns the To line with our tag replaced by `TAG`. Panics unless there is exactly one tag of ours, well-formed.
    #[track_caller]
    pub(crate) fn to(&self) -> String {
        let to = self.line("to");
        to.replace(&self.tag(), "TAG")
    }

    /// Returns our tag.
    #[track_caller]
    pub(crate) fn tag(&self) -> String {
        let to = self.line("to");
        let parts: Vec<&str> = to.split(PREFIX).collect();
        assert_eq!(parts.len(), 2, "not one tag of ours in {to}");
        let digits: String = parts[1].chars().take_while(char::is_ascii_hexdigit).collect();
        assert_eq!(digits.len(), 16, "{to}");
        format!("{PREFIX}{digits}")
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").expect("a line end");
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter()
        .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("\\x{byte:02x}") })
        .collect()
}

fn full_name(line: &[u8]) -> Option<String> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8_lossy(&line[..colon]).trim_matches([' ', '\t']).to_ascii_lowercase();
    Some(match name.as_str() {
        "v" => "via".into(),
        "f" => "from".into(),
        "t" => "to".into(),
        "i" => "call-id".into(),
        _ => name,
    })
}
