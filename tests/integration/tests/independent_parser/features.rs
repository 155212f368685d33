//! The features of a message by which the classes of differences are defined, found by string search and without either
//! parser.
#![expect(clippy::string_slice, reason = "each offset comes from a search in the same string")]

/// The parts of a message, with their line ends and folds.
pub(crate) struct Features {
    /// Start line without its line end.
    pub(crate) start_line: Vec<u8>,
    /// Headers, each with its continuation lines, without the last line end.
    pub(crate) headers: Vec<Vec<u8>>,
    /// Start line and headers, without the empty line.
    pub(crate) head: Vec<u8>,
    /// Everything after the empty line.
    pub(crate) body: Vec<u8>,
    /// True if the first byte is CR or LF.
    pub(crate) begins_blank: bool,
}

impl Features {
    /// Splits `message` into its parts.
    pub(crate) fn from_message(message: &[u8]) -> Self {
        let mut lines = message.split_inclusive(|byte| *byte == b'\n');
        // Blank lines before the start line have a class of their own.
        let start_line = lines.by_ref().find(|line| !is_blank(line)).unwrap_or_default();
        let mut headers: Vec<Vec<u8>> = vec![];
        for line in lines.by_ref() {
            if is_blank(line) {
                break;
            }
            match headers.last_mut() {
                Some(header) if line.starts_with(b" ") || line.starts_with(b"\t") => header.extend(line),
                _ => headers.push(line.to_vec()),
            }
        }
        let head = [start_line.to_vec(), headers.concat()].concat();
        for header in &mut headers {
            *header = without_line_end(header).to_vec();
        }
        Self {
            start_line: without_line_end(start_line).to_vec(),
            headers,
            head,
            body: lines.flatten().copied().collect(),
            begins_blank: matches!(message, [b'\r' | b'\n', ..]),
        }
    }

    /// Returns the Request-URI: the second word of the start line.
    pub(crate) fn request_uri(&self) -> String {
        let line = String::from_utf8_lossy(&self.start_line).into_owned();
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Returns the value of the first header called `To` or `t`, with its folds, or an empty string without one.
    pub(crate) fn folded_to(&self) -> String {
        let mut values = self.headers.iter().filter_map(|header| {
            let colon = header.iter().position(|byte| *byte == b':')?;
            let name = header[..colon].trim_ascii();
            let is_to = name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t");
            is_to.then(|| String::from_utf8_lossy(&header[colon + 1..]).trim().to_owned())
        });
        values.next().unwrap_or_default()
    }

    /// Returns the value of To with each CR, LF and tab replaced by a space.
    pub(crate) fn to(&self) -> String {
        self.folded_to().replace(['\r', '\n', '\t'], " ")
    }

    /// Returns the part of the To value before the URI's `<`, or an empty string if there is no `<`.
    pub(crate) fn display_name(&self) -> String {
        let to = self.to();
        let mut is_quoted = false;
        let bracket = to.char_indices().find(|(at, character)| {
            is_quoted ^= *character == '"' && !to[..*at].ends_with('\\');
            *character == '<' && !is_quoted
        });
        bracket.map(|(at, _)| to[..at].to_owned()).unwrap_or_default()
    }

    /// Returns the URI of To: the part between the brackets, or without brackets the part before the first semicolon.
    pub(crate) fn uri(&self) -> String {
        let to = self.to();
        let rest = &to[self.display_name().len()..];
        match rest.strip_prefix('<') {
            Some(rest) => rest.split('>').next().unwrap_or_default().to_owned(),
            None => rest.split(';').next().unwrap_or_default().trim().to_owned(),
        }
    }

    /// Returns the parameters of To: the part after the URI, without spaces.
    pub(crate) fn parameters(&self) -> String {
        let to = self.to();
        let rest = &to[self.display_name().len()..];
        let at = if rest.starts_with('<') { rest.find('>').map(|at| at + 1) } else { rest.find(';') };
        rest[at.unwrap_or(rest.len())..].replace(' ', "")
    }
}

fn is_blank(line: &[u8]) -> bool {
    line == b"\n" || line == b"\r\n" || line == b"\r"
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
