//! Where we do not do with a message of the corpus what Kamailio does, and why.

/// How what we do may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Kamailio refuses it, and we let it pass.
    Passed,
    /// Kamailio refuses it; we take it, and do not answer.
    Unanswered,
    /// Kamailio drops it as unreadable, and we refuse it.
    Answered,
    /// Kamailio drops it as unreadable; we do that in its place.
    NeitherNor,
    /// The answer goes to another address or port.
    Destination,
    /// The Via lines of the answer differ.
    Via,
    /// The From line of the answer differs.
    From,
    /// The Call-ID line of the answer differs.
    CallId,
    /// The CSeq line of the answer differs.
    CSeq,
}

use Deviation::{Answered, NeitherNor, Passed, Unanswered, Via};

/// The deviations, by file, with their reasons.
pub const DEVIATIONS: &[(&str, Deviation, &str)] = &[
    ("a09-urn-sos.sip", Passed, "an emergency call"),
    ("a11-replaces.sip", Passed, "takes the place of a call that is up"),
    ("a14-to-after-8k.sip", Passed, FRAGMENTS),
    ("a16-fragmented-2k.sip", Passed, FRAGMENTS),
    ("a19-near-64k.sip", Passed, FRAGMENTS),
    ("a20-100-headers.sip", Passed, FRAGMENTS),
    ("a24-max-forwards-twice.sip", Answered, "Max-Forwards is not looked at"),
    (
        "b41-two-tags-last-empty.sip",
        Passed,
        "`;tag=2;tag=`: for Kamailio the last tag counts, for us any that is not empty",
    ),
    ("c13-received-lie.sip", Via, RECEIVED_LIE),
    ("c14-received-lie-rport.sip", Via, RECEIVED_LIE),
    ("c17-empty-branch.sip", Answered, "no response needs the branch: the Via comes back as it was"),
    ("c19-spaces.sip", Via, "Kamailio drops the white space before rport, we keep it"),
    ("c20-comma-list.sip", Via, COMMA_LIST),
    ("c21-comma-list-host-differs.sip", Via, COMMA_LIST),
    ("c32-empty-via.sip", NeitherNor, TAKEN),
    ("c33-garbage-via.sip", NeitherNor, TAKEN),
    ("c35-bad-second-via.sip", Answered, "only the first Via is looked at, the others come back as they were"),
    ("c36-received-no-value.sip", Answered, "a received without a value gets ours, as one with a value does"),
    ("d05-leading-spaces.sip", Passed, "spaces before the method: only CR and LF are skipped (RFC 3261 section 7.5)"),
    ("d10-cl-negative.sip", Answered, CONTENT_LENGTH),
    ("d12-cl-empty.sip", Answered, CONTENT_LENGTH),
    ("d13-cl-huge.sip", Answered, CONTENT_LENGTH),
    ("d20-lower-case-method.sip", Passed, "`invite`: methods are case-sensitive (RFC 3261 section 7.1)"),
    ("d26-space-at-line-end.sip", Passed, VERSION),
    ("d29-version-20x.sip", Passed, VERSION),
    ("d38-header-no-colon-late.sip", Answered, UNNEEDED_LINE),
    ("d40-empty-header-name.sip", Answered, UNNEEDED_LINE),
    ("d42-header-space-in-name.sip", Answered, UNNEEDED_LINE),
    ("d43-bad-second-cseq.sip", NeitherNor, TAKEN),
    ("e02-no-from.sip", NeitherNor, TAKEN),
    ("e04-no-via.sip", NeitherNor, TAKEN),
    ("e05-no-cseq.sip", NeitherNor, TAKEN),
    ("e07-cseq-no-method.sip", NeitherNor, TAKEN),
    ("e08-cseq-no-number.sip", NeitherNor, TAKEN),
    (
        "e10-cseq-garbage.sip",
        Unanswered,
        "`abc def` is no CSeq: whoever sends it could not match the response (RFC 3261 section 17.1.3)",
    ),
    ("e12-callid-twice.sip", NeitherNor, TAKEN),
    ("e19-from-twice.sip", NeitherNor, TAKEN),
    ("r4475-longreq.sip", Passed, FRAGMENTS),
];

const FRAGMENTS: &str = "comes in fragments, which pass";
const RECEIVED_LIE: &str =
    "Kamailio adds a second received; we put ours in the place of the client's, so that there is one";
const COMMA_LIST: &str =
    "Kamailio puts received on the last Via of the line; it belongs to the first (RFC 3261 section 18.2.1)";
const CONTENT_LENGTH: &str = "over UDP the datagram ends the body, Content-Length is not looked at";
const VERSION: &str = "not the SIP/2.0 of RFC 3261 section 7.1";
const UNNEEDED_LINE: &str = "a line that no response needs";
/// The kernel has seen no To tag and handed it over; the responder finds that it cannot be answered, and counts why.
const TAKEN: &str = "what a response needs is missing, malformed or there twice";
