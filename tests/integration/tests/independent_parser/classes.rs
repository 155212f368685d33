//! The known differences between the host grammar and ezk-sip-types 0.6 ("ezk"), each with the reason and the parser
//! that is wrong.

use std::fmt;

use ezk_sip_types::parse::Parse as _;
use ezk_sip_types::uri::SipUri;

use crate::ezk::Reading;
use crate::features::Features;

/// A class of messages on which the two parsers differ.
pub(crate) struct Class {
    /// Behavior of ezk that causes the difference.
    ezk: &'static str,
    /// Verdict on that behavior, and the reason why the host grammar behaves otherwise.
    why: &'static str,
    /// Readings by ezk that occur in the class.
    readings: &'static [Reading],
    /// Returns whether a message has the feature that causes the difference.
    has_feature: fn(&Features) -> bool,
}

impl Class {
    /// Returns whether a message with these features, which ezk reads as `reading`, is in the class.
    pub(crate) fn contains(&self, reading: Reading, features: &Features) -> bool {
        self.readings.contains(&reading) && (self.has_feature)(features)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ezk {}; {}", self.ezk, self.why)
    }
}

/// Classes of messages that only the host grammar calls new. In the first class ezk finds a tag; in all
/// others it rejects the message.
///
/// A message belongs to the first class that contains it, so narrow classes come first.
pub(crate) const ONLY_WE_SAY_NEW: &[Class] = &[
    Class {
        ezk: "reads `%74ag` as `tag`",
        why: "wrong: a token has no escapes (RFC 3261 section 25.1)",
        readings: &[Reading::InDialog],
        has_feature: |message| message.parameters().contains(";%74ag"),
    },
    Class {
        ezk: "rejects bytes that are not UTF-8",
        why: "right (RFC 3261 section 25.1), but we skip every byte above 0x7f",
        readings: &[Reading::NotUtf8],
        has_feature: |message| std::str::from_utf8(&message.head).is_err(),
    },
    Class {
        ezk: "takes CR or LF before the start line for an empty message",
        why: "wrong: they are skipped (RFC 3261 section 7.5)",
        readings: &[Reading::NotOneTo],
        has_feature: |message| message.begins_blank,
    },
    Class {
        ezk: "ends the message at a CR without LF",
        why: "for us it is white space (laxer than the grammar, as Kamailio is with folds)",
        readings: &[Reading::Endless],
        has_feature: |message| message.head.windows(2).any(|two| two[0] == b'\r' && two[1] != b'\n'),
    },
    Class {
        ezk: "continues the headers if white space follows the empty line",
        why: "wrong: the body begins there",
        readings: &[Reading::BadHeaderLine, Reading::NotOneTo, Reading::Endless],
        has_feature: |message| message.body.starts_with(b" ") || message.body.starts_with(b"\t"),
    },
    Class {
        ezk: "rejects a message with a line that is not a header, as Kamailio does",
        why: "we skip the line and answer the message",
        readings: &[Reading::BadHeaderLine],
        has_feature: |message| message.headers.iter().any(|header| !is_header(header)),
    },
    Class {
        ezk: "accepts the SIP version in capitals only",
        why: "wrong: its case does not matter (RFC 3261 section 7.1), and Kamailio answers",
        readings: &[Reading::BadStartLine],
        has_feature: |message| !message.start_line.ends_with(b"SIP/2.0"),
    },
    Class {
        ezk: "reads the version into an empty parameter at the end of the Request-URI",
        why: "wrong: a space ends the URI",
        readings: &[Reading::BadStartLine],
        has_feature: |message| message.request_uri().ends_with([';', '=']),
    },
    Class {
        ezk: "rejects a Request-URI that is not a well-formed sip or sips URI",
        why: "Kamailio answers it, and we only check whether it exempts",
        readings: &[Reading::BadStartLine],
        has_feature: |message| is_no_sip_uri(&message.request_uri()),
    },
    Class {
        ezk: "rejects an empty quoted string",
        why: "wrong: the grammar has it, and to Kamailio `tag=\"\"` is no tag",
        readings: &[Reading::PartOfTo, Reading::BadTo],
        has_feature: |message| message.to().contains("\"\""),
    },
    Class {
        ezk: "rejects escapes in quoted strings",
        why: "wrong: the grammar has quoted-pair (RFC 4475 section 3.1.1.1 uses it)",
        readings: &[Reading::BadTo, Reading::PartOfTo],
        has_feature: |message| message.to().contains('\\'),
    },
    Class {
        ezk: "rejects a To URI that is not a well-formed sip or sips URI",
        why: "wrong: To may have any URI, and we do not parse it",
        readings: &[Reading::BadTo, Reading::PartOfTo],
        has_feature: |message| is_no_sip_uri(&message.uri()),
    },
    Class {
        ezk: "rejects folds in a display name",
        why: "wrong: `*(token LWS)` may have them (RFC 3261 section 25.1)",
        readings: &[Reading::BadTo, Reading::PartOfTo],
        has_feature: |message| message.folded_to().split(['<', ':']).next().is_some_and(|name| name.contains('\n')),
    },
    Class {
        ezk: "rejects text between a quoted name and the URI",
        why: "right: we are laxer than the grammar and answer malformed messages",
        readings: &[Reading::BadTo],
        has_feature: |message| {
            let name = message.display_name().trim().to_owned();
            name.contains('"') && !(name.matches('"').count() == 2 && name.starts_with('"') && name.ends_with('"'))
        },
    },
    Class {
        ezk: "rejects `?` in a URI without brackets",
        why: "right (RFC 3261 section 20), we are laxer",
        readings: &[Reading::PartOfTo],
        has_feature: |message| message.uri().contains('?'),
    },
    Class {
        ezk: "counts `;` before the `@` of a URI without brackets as the URI's",
        why: "wrong: it is the header's (RFC 3261 section 20)",
        readings: &[Reading::BadTo, Reading::PartOfTo],
        has_feature: |message| !message.to().contains('<') && message.parameters().contains('@'),
    },
    Class {
        ezk: "rejects a colon in a display name",
        why: "right: we are laxer than the grammar",
        readings: &[Reading::BadTo],
        has_feature: |message| message.display_name().contains(':'),
    },
    Class {
        ezk: "rejects bytes in a parameter that the grammar does not have",
        why: "right: we are laxer than the grammar",
        readings: &[Reading::PartOfTo],
        has_feature: |message| {
            let parameters = message.parameters();
            let is_odd = |character: char| !character.is_alphanumeric() && !";=\"".contains(character);
            parameters.contains(is_odd) || parameters.split(';').any(|parameter| parameter.matches('=').count() > 1)
        },
    },
];

/// Classes of messages that only ezk calls new. The proxy gets them, which is always safe.
pub(crate) const ONLY_EZK_SAYS_NEW: &[Class] = &[
    Class {
        ezk: "ignores the case of methods and text after them",
        why: "wrong: methods are case-sensitive (RFC 3261 section 7.1)",
        readings: &[Reading::New],
        has_feature: |message| !message.start_line.starts_with(b"INVITE "),
    },
    Class {
        ezk: "accepts any number of spaces in the start line and any text at its end",
        why: "wrong (RFC 3261 section 7.1)",
        readings: &[Reading::New],
        has_feature: |message| {
            let line = String::from_utf8_lossy(&message.start_line).to_ascii_lowercase();
            let words: Vec<&str> = line.split(' ').collect();
            words.len() != 3 || words[2] != "sip/2.0"
        },
    },
    Class {
        ezk: "continues the headers if white space follows the empty line, and finds To there",
        why: "wrong: the headers have ended",
        readings: &[Reading::New],
        has_feature: |message| message.body.starts_with(b" ") || message.body.starts_with(b"\t"),
    },
    Class {
        ezk: "accepts a fold before the colon",
        why: "wrong: HCOLON has spaces and tabs only (RFC 3261 section 25.1)",
        readings: &[Reading::New],
        has_feature: |message| {
            let mut names = message.headers.iter().filter_map(|header| header.split(|byte| *byte == b':').next());
            names.any(|name| name.contains(&b'\n') && name.trim_ascii().to_ascii_lowercase().starts_with(b"t"))
        },
    },
    Class {
        ezk: "counts `;` and `,` in a URI without brackets as the URI's",
        why: "wrong: they are the header's (RFC 3261 section 20)",
        readings: &[Reading::New],
        has_feature: |message| {
            !message.to().contains('<') && (message.parameters().contains('@') || message.uri().contains(','))
        },
    },
    Class {
        ezk: "accepts a line that begins with white space after the start line",
        why: "wrong: the start line cannot be folded",
        readings: &[Reading::New],
        has_feature: |message| {
            message.headers.first().is_some_and(|first| first.starts_with(b" ") || first.starts_with(b"\t"))
        },
    },
    Class {
        ezk: "accepts a fold in a URI",
        why: "wrong: a URI has no white space (RFC 3261 section 25.1)",
        readings: &[Reading::New],
        has_feature: |message| {
            let to = message.folded_to();
            to.split_once('<').is_some_and(|(_, uri)| uri.split('>').next().is_some_and(|uri| uri.contains('\n')))
        },
    },
    Class {
        ezk: "accepts control characters in To",
        why: "wrong: no rule of RFC 3261 section 25.1 has them",
        readings: &[Reading::New],
        has_feature: |message| message.to().contains(|character: char| character.is_ascii_control()),
    },
    Class {
        ezk: "uses the first of several tags",
        why: "we pass the message if any of them has a value",
        readings: &[Reading::New],
        has_feature: |message| tag_count(&message.parameters().to_ascii_lowercase()) > 1,
    },
    Class {
        ezk: "accepts parameter names in lower case only",
        why: "wrong: their case does not matter (RFC 3261 section 7.3.1)",
        readings: &[Reading::New],
        has_feature: |message| {
            let parameters = message.parameters();
            tag_count(&parameters) == 0 && tag_count(&parameters.to_ascii_lowercase()) == 1
        },
    },
    Class {
        ezk: "accepts `;` without a parameter",
        why: "wrong: the grammar has none, and Kamailio drops the message",
        readings: &[Reading::New],
        has_feature: |message| {
            message.parameters().split(';').skip(1).any(|parameter| parameter.is_empty() || parameter.starts_with('='))
        },
    },
    Class {
        ezk: "accepts any character in a display name",
        why: "wrong: separators need quotes, and `;tag=1` might be meant as a tag",
        readings: &[Reading::New],
        has_feature: |message| {
            // Not `display_name`, which ends differently if a quote is not closed.
            let to = message.to();
            to.rsplit_once('<').is_some_and(|(name, _)| name.contains([';', ',', '>', '\\', '"']))
        },
    },
];

/// Returns whether `header` begins with a token and a colon, with optional white space around the token.
fn is_header(header: &[u8]) -> bool {
    let Some(colon) = header.iter().position(|byte| *byte == b':') else { return false };
    let name = header[..colon].trim_ascii();
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_`'~+".contains(byte))
}

/// Returns whether `uri` is not a well-formed URI of the schemes `sip` and `sips` to ezk.
fn is_no_sip_uri(uri: &str) -> bool {
    SipUri::parse_str(uri).is_err()
}

/// Returns the number of parameters called `tag`, as ezk counts them.
fn tag_count(parameters: &str) -> usize {
    // ezk reads `%74ag` as `tag`.
    let parameters = parameters.replace("%74", "t");
    parameters.split(';').filter(|parameter| parameter.split('=').next() == Some("tag")).count()
}
