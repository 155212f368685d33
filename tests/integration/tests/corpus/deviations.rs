//! The messages of the corpus that sip-filter treats differently from Kamailio, and why.

use Deviation::{Dropped, Passed, Refused, Via};

/// A way in which sip-filter differs from Kamailio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// Kamailio refuses the message; sip-filter passes it.
    Passed,
    /// Kamailio refuses the message; sip-filter takes it and does not respond.
    Unanswered,
    /// Kamailio drops the message as unreadable; sip-filter refuses it.
    Refused,
    /// Kamailio drops the message as unreadable; sip-filter takes it and does not respond.
    Dropped,
    /// The response goes to another address or port.
    Destination,
    /// The Via lines of the response differ.
    Via,
    /// The From line of the response differs.
    From,
    /// The Call-ID line of the response differs.
    CallId,
    /// The CSeq line of the response differs.
    CSeq,
}

/// The deviations: file, deviation and reason.
pub(crate) const DEVIATIONS: &[(&str, Deviation, &str)] = &[
    ("a09-urn-sos.sip", Passed, "an emergency call"),
    ("a11-replaces.sip", Passed, "replaces an established call"),
    ("a14-to-after-8k.sip", Passed, FRAGMENTS),
    ("a16-fragmented-2k.sip", Passed, FRAGMENTS),
    ("a19-near-64k.sip", Passed, FRAGMENTS),
    ("a20-100-headers.sip", Passed, FRAGMENTS),
    ("a24-max-forwards-twice.sip", Refused, "Max-Forwards is not parsed"),
    (
        "b41-two-tags-last-empty.sip",
        Passed,
        "`;tag=2;tag=`: the last tag counts for Kamailio, any tag with a value for us",
    ),
    ("c13-received-lie.sip", Via, RECEIVED_LIE),
    ("c14-received-lie-rport.sip", Via, RECEIVED_LIE),
    ("c17-empty-branch.sip", Refused, "no response needs the branch; the Via is copied as it is"),
    ("c19-spaces.sip", Via, "Kamailio drops the white space before rport; sip-filter keeps it"),
    ("c20-comma-list.sip", Via, COMMA_LIST),
    ("c21-comma-list-host-differs.sip", Via, COMMA_LIST),
    ("c32-empty-via.sip", Dropped, TAKEN),
    ("c33-garbage-via.sip", Dropped, TAKEN),
    ("c35-bad-second-via.sip", Refused, "only the first Via is parsed; the others are copied as they are"),
    ("c36-received-no-value.sip", Refused, "a received parameter without a value is replaced, like one with a value"),
    ("d05-leading-spaces.sip", Passed, "spaces before the method: only CR and LF are skipped (RFC 3261 section 7.5)"),
    ("d10-cl-negative.sip", Refused, CONTENT_LENGTH),
    ("d12-cl-empty.sip", Refused, CONTENT_LENGTH),
    ("d13-cl-huge.sip", Refused, CONTENT_LENGTH),
    ("d20-lower-case-method.sip", Passed, "`invite`: methods are case-sensitive (RFC 3261 section 7.1)"),
    ("d26-space-at-line-end.sip", Passed, VERSION),
    ("d29-version-20x.sip", Passed, VERSION),
    ("d38-header-no-colon-late.sip", Refused, UNNEEDED_LINE),
    ("d40-empty-header-name.sip", Refused, UNNEEDED_LINE),
    ("d42-header-space-in-name.sip", Refused, UNNEEDED_LINE),
    ("d43-bad-second-cseq.sip", Refused, TWICE),
    ("e02-no-from.sip", Dropped, TAKEN),
    ("e04-no-via.sip", Dropped, TAKEN),
    ("e05-no-cseq.sip", Dropped, TAKEN),
    ("e07-cseq-no-method.sip", Refused, ODD_CSEQ),
    ("e08-cseq-no-number.sip", Refused, ODD_CSEQ),
    ("e12-callid-twice.sip", Refused, TWICE),
    ("e19-from-twice.sip", Refused, TWICE),
    ("r4475-longreq.sip", Passed, FRAGMENTS),
];

const FRAGMENTS: &str = "arrives in fragments, which pass";
const RECEIVED_LIE: &str =
    "Kamailio adds a second received parameter; sip-filter replaces the client's, so that there is one";
const COMMA_LIST: &str =
    "Kamailio puts received on the last Via of the line; it belongs to the first (RFC 3261 section 18.2.1)";
const CONTENT_LENGTH: &str = "over UDP the datagram delimits the body, and Content-Length is not parsed";
const VERSION: &str = "not the SIP/2.0 of RFC 3261 section 7.1";
const UNNEEDED_LINE: &str = "a line that no response needs";
/// The XDP program finds no To tag and redirects the message. The responder finds that no response is possible, and
/// counts the reason.
const TAKEN: &str = "a header that a response needs is missing, or the topmost Via says nothing about its sender";
const ODD_CSEQ: &str = "a CSeq of any value is repeated as it is; silence would cost the caller 32 s";
const TWICE: &str = "both lines are repeated as they are; silence would cost the caller 32 s";
