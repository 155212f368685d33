//! The same question put to `ezk-sip-types`, which shares neither code nor author with the grammar.
//!
//! Of the parsers for Rust it agrees with us, and with Kamailio, on most of the corpus, reads RFC 4475's `wsinv` right
//! and builds in seconds. `rvoip-sip-core` 0.4 finds no To in wsinv and no tag in `;tag="x"`, and takes no LF-only
//! message; `rsip` 0.4 has dependencies of 2021.

use bytes::Bytes;
use ezk_sip_types::header::HeaderParse as _;
use ezk_sip_types::header::typed::FromTo;
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse as _;
use ezk_sip_types::{Method, Name};

/// What it says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Theirs {
    /// An INVITE without a To tag, or with an empty one.
    New,
    /// An INVITE with a To tag.
    InDialog,
    /// Another request, or a response.
    Other,
    /// Its head has no end.
    Endless,
    /// Not UTF-8.
    NotUtf8,
    /// A start line that it does not read.
    StartLine,
    /// A header line that it does not read.
    HeaderLine,
    /// No To header, or two.
    NotOneTo,
    /// A To header that it does not read.
    To,
    /// A To header that it reads only a part of.
    PartOfTo,
}

/// What it says of `message`.
pub(crate) fn read(message: &[u8]) -> Theirs {
    let message = Bytes::copy_from_slice(message);
    let mut lines = PullParser::new(&message, 0);
    let mut values = vec![];
    let mut is_first = true;
    for line in &mut lines {
        let Ok(line) = line else { return Theirs::Endless };
        let Ok(line) = std::str::from_utf8(line) else { return Theirs::NotUtf8 };
        if is_first {
            is_first = false;
            match MessageLine::parse(&message)(line) {
                Ok((_, start)) if start.request_method() == Some(&Method::INVITE) => {}
                Ok(_) => return Theirs::Other,
                Err(_) => return Theirs::StartLine,
            }
            continue;
        }
        match Line::parse(&message, line) {
            Ok((_, line)) if line.name == Name::TO => values.push(line.value),
            Ok(_) => {}
            Err(_) => return Theirs::HeaderLine,
        }
    }
    let [value] = values.as_slice() else { return Theirs::NotOneTo };
    match FromTo::parse(&message, value) {
        Err(_) => Theirs::To,
        Ok((rest, _)) if !rest.trim().is_empty() => Theirs::PartOfTo,
        Ok((_, to)) if to.tag.as_deref().is_none_or(str::is_empty) => Theirs::New,
        Ok(_) => Theirs::InDialog,
    }
}
