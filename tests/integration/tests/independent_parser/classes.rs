//! The known differences, each with who is wrong and why. "It" is ezk-sip-types 0.6.

use ezk_sip_types::parse::Parse as _;
use ezk_sip_types::uri::SipUri;

use crate::features::Features;
use crate::theirs::Theirs;

/// A known difference.
pub(crate) struct Class {
    /// What it is about, and who is wrong.
    pub(crate) name: &'static str,
    /// What it says of such a message.
    theirs: &'static [Theirs],
    /// Whether the message has what makes the difference.
    has: fn(&Features) -> bool,
}

impl Class {
    /// Whether a difference, in which it says `theirs`, is of this class.
    pub(crate) fn holds(&self, theirs: Theirs, features: &Features) -> bool {
        self.theirs.contains(&theirs) && (self.has)(features)
    }
}

/// Where we say new and it does not. It never says that there is a tag, but for the first.
///
/// The first class that holds counts, so the narrow ones are first.
pub(crate) const WE_SAY_NEW: &[Class] = &[
    Class {
        name: "it: `%74ag` for `tag`; but a token has no escapes (RFC 3261 section 25.1)",
        theirs: &[Theirs::InDialog],
        has: |message| message.parameters().contains(";%74ag"),
    },
    Class {
        name: "it: no octets but UTF-8; rightly (RFC 3261 section 25.1), but we look at no octet above 0x7f",
        theirs: &[Theirs::NotUtf8],
        has: |message| std::str::from_utf8(&message.head).is_err(),
    },
    Class {
        name: "it: CR or LF before the start line is an empty message; but RFC 3261 section 7.5 has them skipped",
        theirs: &[Theirs::NotOneTo],
        has: |message| message.begins_blank,
    },
    Class {
        name: "it: a CR that no LF follows is cut off; for us white space (we are laxer, as Kamailio is with folds)",
        theirs: &[Theirs::Endless],
        has: |message| message.head.windows(2).any(|two| two[0] == b'\r' && two[1] != b'\n'),
    },
    Class {
        name: "it: white space after the empty line continues the headers; but they end there, and that is the body",
        theirs: &[Theirs::HeaderLine, Theirs::NotOneTo, Theirs::Endless],
        has: |message| message.body.starts_with(b" ") || message.body.starts_with(b"\t"),
    },
    Class {
        name: "it: a line that is no header spoils the message, as for Kamailio; we pass over it, and answer what it would drop",
        theirs: &[Theirs::HeaderLine],
        has: |message| message.headers.iter().any(|header| !is_header(header)),
    },
    Class {
        name: "it: a version in capitals only; but RFC 3261 section 7.1 has it in any case, and Kamailio answers",
        theirs: &[Theirs::StartLine],
        has: |message| !message.start_line.ends_with(b"SIP/2.0"),
    },
    Class {
        name: "it: an empty parameter at the end of the Request-URI takes in the version; but a space ends the URI",
        theirs: &[Theirs::StartLine],
        has: |message| message.request_uri().ends_with([';', '=']),
    },
    Class {
        name: "it: a Request-URI of sip or sips that is well-formed; but Kamailio answers others, and we only ask whether it exempts",
        theirs: &[Theirs::StartLine],
        has: |message| is_no_sip_uri(&message.request_uri()),
    },
    Class {
        name: "it: no empty quoted string; but the grammar has it, and for Kamailio `tag=\"\"` is none",
        theirs: &[Theirs::PartOfTo, Theirs::To],
        has: |message| message.to().contains("\"\""),
    },
    Class {
        name: "it: no escapes in quoted strings; but quoted-pair is in the grammar, as in RFC 4475 section 3.1.1.1",
        theirs: &[Theirs::To, Theirs::PartOfTo],
        has: |message| message.to().contains('\\'),
    },
    Class {
        name: "it: a To URI of sip or sips that is well-formed; but any may stand there, and we do not read it",
        theirs: &[Theirs::To, Theirs::PartOfTo],
        has: |message| is_no_sip_uri(&message.uri()),
    },
    Class {
        name: "it: no folds in a display name; but `*(token LWS)` may have them (RFC 3261 section 25.1)",
        theirs: &[Theirs::To, Theirs::PartOfTo],
        has: |message| message.folded_to().split(['<', ':']).next().is_some_and(|name| name.contains('\n')),
    },
    Class {
        name: "it: nothing between a quoted name and the URI; we are laxer than the grammar, and so answer what is malformed",
        theirs: &[Theirs::To],
        has: |message| {
            let name = message.display_name().trim().to_owned();
            name.contains('"') && !(name.matches('"').count() == 2 && name.starts_with('"') && name.ends_with('"'))
        },
    },
    Class {
        name: "it: no `?` in a URI without brackets, rightly (RFC 3261 section 20); we are laxer",
        theirs: &[Theirs::PartOfTo],
        has: |message| message.uri().contains('?'),
    },
    Class {
        name: "it: `;` before the `@` of a URI without brackets is the URI's; but RFC 3261 section 20 has it the header's",
        theirs: &[Theirs::To, Theirs::PartOfTo],
        has: |message| !message.to().contains('<') && message.parameters().contains('@'),
    },
    Class {
        name: "it: a display name without colon; rightly, but we are laxer than the grammar",
        theirs: &[Theirs::To],
        has: |message| message.display_name().contains(':'),
    },
    Class {
        name: "it: parameters of certain octets only; rightly, but we are laxer than the grammar",
        theirs: &[Theirs::PartOfTo],
        has: |message| {
            let parameters = message.parameters();
            let is_odd = |octet: char| !octet.is_alphanumeric() && !";=\"".contains(octet);
            parameters.contains(is_odd) || parameters.split(';').any(|parameter| parameter.matches('=').count() > 1)
        },
    },
];

/// Where it says new and we do not: then the proxy gets the message, which is never wrong.
pub(crate) const IT_SAYS_NEW: &[Class] = &[
    Class {
        name: "it: methods in any case and with anything behind; but RFC 3261 section 7.1 has them case-sensitive",
        theirs: &[Theirs::New],
        has: |message| !message.start_line.starts_with(b"INVITE "),
    },
    Class {
        name: "it: any spaces in the start line and anything at its end; but RFC 3261 section 7.1 has neither",
        theirs: &[Theirs::New],
        has: |message| {
            let line = String::from_utf8_lossy(&message.start_line).to_ascii_lowercase();
            let words: Vec<&str> = line.split(' ').collect();
            words.len() != 3 || words[2] != "sip/2.0"
        },
    },
    Class {
        name: "it: white space after the empty line continues the headers, and To may come there; but they have ended",
        theirs: &[Theirs::New],
        has: |message| message.body.starts_with(b" ") || message.body.starts_with(b"\t"),
    },
    Class {
        name: "it: a fold before the colon; but HCOLON has white space only (RFC 3261 section 25.1)",
        theirs: &[Theirs::New],
        has: |message| {
            let mut names = message.headers.iter().filter_map(|header| header.split(|octet| *octet == b':').next());
            names.any(|name| name.contains(&b'\n') && name.trim_ascii().to_ascii_lowercase().starts_with(b"t"))
        },
    },
    Class {
        name: "it: `;` and `,` in a URI without brackets are the URI's; but RFC 3261 section 20 has them the header's",
        theirs: &[Theirs::New],
        has: |message| {
            !message.to().contains('<') && (message.parameters().contains('@') || message.uri().contains(','))
        },
    },
    Class {
        name: "it: a line that begins with white space after the start line; but that line cannot be folded",
        theirs: &[Theirs::New],
        has: |message| message.headers.first().is_some_and(|first| first.starts_with(b" ") || first.starts_with(b"\t")),
    },
    Class {
        name: "it: a fold in a URI; but a URI has no white space (RFC 3261 section 25.1)",
        theirs: &[Theirs::New],
        has: |message| {
            let to = message.folded_to();
            to.split_once('<').is_some_and(|(_, uri)| uri.split('>').next().is_some_and(|uri| uri.contains('\n')))
        },
    },
    Class {
        name: "it: control octets in To; but no rule of RFC 3261 section 25.1 has them",
        theirs: &[Theirs::New],
        has: |message| message.to().contains(|octet: char| octet.is_ascii_control()),
    },
    Class {
        name: "it: the first of several tags counts; we pass if any has a value",
        theirs: &[Theirs::New],
        has: |message| tags(&message.parameters().to_ascii_lowercase()) > 1,
    },
    Class {
        name: "it: parameter names in lower case only; but RFC 3261 section 7.3.1 has them in any case",
        theirs: &[Theirs::New],
        has: |message| {
            let parameters = message.parameters();
            tags(&parameters) == 0 && tags(&parameters.to_ascii_lowercase()) == 1
        },
    },
    Class {
        name: "it: `;` with no parameter behind it; the grammar has none, and Kamailio is silent",
        theirs: &[Theirs::New],
        has: |message| {
            message.parameters().split(';').skip(1).any(|parameter| parameter.is_empty() || parameter.starts_with('='))
        },
    },
    Class {
        name: "it: anything in a display name; but separators need quotes, and `;tag=1` might be meant",
        theirs: &[Theirs::New],
        has: |message| {
            // Not `display_name`: an unclosed quote is one of these.
            let to = message.to();
            to.rsplit_once('<').is_some_and(|(name, _)| name.contains([';', ',', '>', '\\', '"']))
        },
    },
];

/// Whether `header` begins with a token and a colon, with white space around them.
fn is_header(header: &[u8]) -> bool {
    let Some(colon) = header.iter().position(|octet| *octet == b':') else { return false };
    let name = header[..colon].trim_ascii();
    name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-.!%*_`'~+".contains(octet))
}

fn is_no_sip_uri(uri: &str) -> bool {
    SipUri::parse_str(uri).is_err()
}

/// How many parameters are called `tag`.
fn tags(parameters: &str) -> usize {
    // Its `%74ag` is one too.
    let parameters = parameters.replace("%74", "t");
    parameters.split(';').filter(|parameter| parameter.split('=').next() == Some("tag")).count()
}
