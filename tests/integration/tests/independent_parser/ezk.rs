//! The reading of a message by `ezk-sip-types`, which shares neither code nor author with the host grammar.
//!
//! Of the parsers written in Rust, ezk-sip-types 0.6 agrees with the host grammar and with Kamailio on most of the
//! corpus, reads `wsinv` of RFC 4475 correctly and compiles in seconds. `rvoip-sip-core` 0.4 finds no To in `wsinv` and
//! no tag in `;tag="x"`, and rejects messages with bare LF. The dependencies of `rsip` 0.4 are from 2021.

use bytes::Bytes;
use ezk_sip_types::header::HeaderParse as _;
use ezk_sip_types::header::typed::FromTo;
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse as _;
use ezk_sip_types::{Method, Name};

/// The reading of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// An INVITE without a To tag, or with an empty one.
    New,
    /// An INVITE with a To tag.
    InDialog,
    /// Another request, or a response.
    NotInvite,
    /// The end of the headers is not found.
    Endless,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A malformed start line.
    BadStartLine,
    /// A malformed header line.
    BadHeaderLine,
    /// No To header, or more than one.
    NotOneTo,
    /// A malformed To header.
    BadTo,
    /// A To header of which only the beginning is parsed.
    PartOfTo,
}

impl Reading {
    /// Parses `message`.
    pub(crate) fn from_message(message: &[u8]) -> Self {
        let message = Bytes::copy_from_slice(message);
        let mut lines = PullParser::new(&message, 0);
        let mut values = vec![];
        let mut is_first = true;
        for line in &mut lines {
            let Ok(line) = line else { return Self::Endless };
            let Ok(line) = std::str::from_utf8(line) else { return Self::NotUtf8 };
            if is_first {
                is_first = false;
                match MessageLine::parse(&message)(line) {
                    Ok((_, start)) if start.request_method() == Some(&Method::INVITE) => {}
                    Ok(_) => return Self::NotInvite,
                    Err(_) => return Self::BadStartLine,
                }
                continue;
            }
            match Line::parse(&message, line) {
                Ok((_, line)) if line.name == Name::TO => values.push(line.value),
                Ok(_) => {}
                Err(_) => return Self::BadHeaderLine,
            }
        }
        let [value] = values.as_slice() else { return Self::NotOneTo };
        match FromTo::parse(&message, value) {
            Err(_) => Self::BadTo,
            Ok((rest, _)) if !rest.trim().is_empty() => Self::PartOfTo,
            Ok((_, to)) if to.tag.as_deref().is_none_or(str::is_empty) => Self::New,
            Ok(_) => Self::InDialog,
        }
    }
}
