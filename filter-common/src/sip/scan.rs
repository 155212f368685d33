//! The scan of an INVITE's headers, in turns that each cost a bounded number of steps.

use super::Decision;
use super::exempt::{self, Header, User};
use super::to::ToState;
use super::words::{first, marks, repeat};

/// The octets of a message, as [`Scan`] reads them.
pub trait Message {
    /// The eight octets from `offset` on, the first in the lowest bits. Octets after the message's end are zero.
    fn word(&self, offset: u32) -> u64;

    /// The octet at `offset`, zero after the message's end.
    #[inline(always)]
    fn octet(&self, offset: u32) -> u8 {
        self.word(offset) as u8
    }
}

impl Message for [u8] {
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        let offset = offset as usize;
        if let Some(octets) = self.get(offset..).and_then(<[u8]>::first_chunk) {
            return u64::from_le_bytes(*octets);
        }
        let mut octets = [0; 8];
        let rest = self.get(offset..).unwrap_or_default();
        octets[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(octets)
    }
}

/// How many words or octets one turn looks at, at most: it bounds what the verifier simulates.
const STEPS: u32 = 32;

/// What the next turn has before it.
mod phase {
    /// At the beginning of the Request-URI.
    pub(super) const START: u32 = 0;
    /// In it.
    pub(super) const REQUEST_URI: u32 = 7;
    /// At the SIP version.
    pub(super) const VERSION: u32 = 1;
    /// At the beginning of a line.
    pub(super) const LINE: u32 = 2;
    /// In a line that does not matter.
    pub(super) const SKIP: u32 = 3;
    /// Between the name of a To header and its colon.
    pub(super) const COLON: u32 = 4;
    /// In the value of a To header.
    pub(super) const TO: u32 = 5;
    /// After a line of a To header: is the next one its continuation?
    pub(super) const FOLD: u32 = 6;
    /// After the name of a header that may exempt the request.
    pub(super) const EXEMPT: u32 = 8;
}

/// A scan under way: how far it has read, and what it knows by then.
///
/// Its fields are plain numbers, and the XDP program keeps it in a per-CPU map, because the verifier tracks nothing
/// there: on the stack, it would follow every value that each field can have (the callback of `bpf_loop` is
/// explored until its state converges, since Linux 6.7, "bpf: verify callbacks as if they are called unknown number of
/// times").
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// The offset of the next octet to be read.
    position: u32,
    /// The length of the message.
    end: u32,
    /// One of [`phase`].
    phase: u32,
    /// The [`ToState`] in the To header that is being read.
    to: u32,
    /// How many To headers there have been.
    to_headers: u32,
    /// Not zero once a header line has been seen, so that a line may continue it.
    in_headers: u32,
    /// Which of [`exempting`] the header is that is being read.
    exempting: u32,
    /// Where the To tag begins, once there is a decision that there is one.
    tag: u32,
    /// The user part of the Request-URI.
    user: User,
}

/// Headers that may exempt a request.
mod exempting {
    pub(super) const PRIORITY: u32 = 0;
    pub(super) const RESOURCE_PRIORITY: u32 = 1;
    pub(super) const REPLACES: u32 = 2;
}

impl Scan {
    /// A scan that begins at the Request-URI, `position` octets into a message of `end` octets.
    #[inline(always)]
    pub const fn new(position: u32, end: u32) -> Self {
        Self {
            position,
            end,
            phase: phase::START,
            to: 0,
            to_headers: 0,
            in_headers: 0,
            exempting: 0,
            tag: 0,
            user: User::NONE,
        }
    }

    /// The user part of the Request-URI, to be looked up in the set of emergency numbers.
    #[inline(always)]
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// Where the To tag begins, in octets from the beginning of the message, if the decision is
    /// [`Decision::InDialog`].
    #[inline(always)]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Reads on. `None`: not decided yet, call again.
    ///
    /// Each turn either decides or has read at least one octet or entered another phase at the same octet, at most
    /// twice in a row; so a message of n octets takes less than 3 n turns.
    #[inline(always)]
    pub fn turn<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        if self.position >= self.end {
            // The headers have no end in sight.
            return Some(Decision::Undecided);
        }
        match self.phase {
            phase::SKIP => self.skip(message),
            phase::LINE => self.line(message),
            phase::TO => self.to(message),
            phase::FOLD => self.fold(message),
            phase::COLON => self.colon(message),
            phase::EXEMPT => self.exempt(message),
            phase::REQUEST_URI => self.request_uri(message),
            phase::START => self.start(message),
            _ => self.version(message),
        }
    }

    /// The beginning of the Request-URI: is it an emergency service's, and whose user part is it?
    #[inline(always)]
    fn start<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        let word = message.word(self.position);
        if exempt::is_emergency_urn(word, message.word(self.position + 8)) {
            return Some(Decision::Emergency);
        }
        let scheme = exempt::scheme(word);
        if scheme != 0 {
            let user = self.position + scheme;
            self.user = User::parse([message.word(user), message.word(user + 8)]);
        }
        self.phase = phase::REQUEST_URI;
        None
    }

    /// `Request-URI SP`: the URI itself is not looked at, but it holds neither space nor newline.
    #[inline(always)]
    fn request_uri<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        for _ in 0..STEPS {
            let word = message.word(self.position);
            let found = marks(word, repeat(b' ')) | marks(word, repeat(b'\n'));
            if found == 0 {
                self.position += 8;
                continue;
            }
            self.position += first(found);
            if message.octet(self.position) != b' ' {
                return Some(Decision::Undecided);
            }
            self.position += 1;
            self.phase = phase::VERSION;
            break;
        }
        None
    }

    /// `SIP/2.0 CRLF`, in any case (RFC 3261 section 7.1); LF alone ends the line too.
    #[inline(always)]
    fn version<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        const VERSION: u64 = u64::from_le_bytes(*b"sip/2.0\0");
        const LETTERS: u64 = u64::from_le_bytes(*b"\x20\x20\x20\0\0\0\0\0");
        let word = message.word(self.position);
        if (word | LETTERS) << 8 != VERSION << 8 {
            return Some(Decision::Undecided);
        }
        let after = (word >> 56) as u8;
        if after == b'\n' {
            self.position += 8;
        } else if after == b'\r' && message.octet(self.position + 8) == b'\n' {
            self.position += 9;
        } else {
            return Some(Decision::Undecided);
        }
        self.phase = phase::LINE;
        None
    }

    /// The beginning of a line: the end of the headers, a continuation, a To header, or one that does not matter.
    #[inline(always)]
    fn line<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        let word = message.word(self.position);
        let (octet, after) = (word as u8, (word >> 8) as u8);
        let first_line = self.in_headers == 0;
        self.in_headers = 1;
        match octet {
            b'\n' => return Some(self.end_of_headers()),
            b'\r' if after == b'\n' => return Some(self.end_of_headers()),
            // A lone CR: no header begins with it.
            b'\r' => return Some(Decision::Undecided),
            // A continuation of the start line, which cannot be folded (RFC 4475 section 3.1.2.18).
            b' ' | b'\t' if first_line => return Some(Decision::Undecided),
            b't' | b'T' => {
                self.position += if after | 0x20 == b'o' { 2 } else { 1 };
                self.phase = phase::COLON;
                // White space between name and colon is legal, anything else makes it another header.
                if is_name_octet(message.octet(self.position)) {
                    self.phase = phase::SKIP;
                }
            }
            b'p' | b'P' | b'r' | b'R' | b'j' | b'J' => {
                let (header, length) = exempt::header(word, message.word(self.position + 8));
                self.exempting = match header {
                    Header::Priority => exempting::PRIORITY,
                    Header::ResourcePriority => exempting::RESOURCE_PRIORITY,
                    Header::Replaces => exempting::REPLACES,
                    Header::Other => {
                        self.phase = phase::SKIP;
                        return None;
                    }
                };
                self.position += length;
                self.phase = if is_name_octet(message.octet(self.position)) { phase::SKIP } else { phase::EXEMPT };
            }
            _ => self.phase = phase::SKIP,
        }
        None
    }

    #[inline(always)]
    fn end_of_headers(&self) -> Decision {
        if self.to_headers == 1 { Decision::New } else { Decision::Undecided }
    }

    /// The rest of a line that does not matter.
    #[inline(always)]
    fn skip<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        let mut position = self.position;
        for _ in 0..STEPS {
            let found = marks(message.word(position), repeat(b'\n'));
            if found == 0 {
                position += 8;
                continue;
            }
            position += first(found) + 1;
            self.phase = phase::LINE;
            break;
        }
        self.position = position;
        None
    }

    /// What follows the name of a header that may exempt the request, up to the header's end.
    ///
    /// Its values are looked for wherever one may begin: after `:`, `,` and white space, on a folded line too.
    #[inline(always)]
    fn exempt<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        for _ in 0..STEPS {
            let octet = message.octet(self.position);
            let follows = message.word(self.position + 1);
            match octet {
                b':' if self.exempting == exempting::REPLACES => return Some(Decision::Replaces),
                b':' | b',' | b' ' | b'\t' => {
                    let passes = match self.exempting {
                        exempting::PRIORITY => exempt::is_urgent(follows),
                        exempting::RESOURCE_PRIORITY => exempt::is_in_namespace(follows),
                        _ => false,
                    };
                    if passes {
                        return Some(Decision::Emergency);
                    }
                }
                b'\n' if !matches!(follows as u8, b' ' | b'\t') => {
                    self.position += 1;
                    self.phase = phase::LINE;
                    break;
                }
                _ => {}
            }
            self.position += 1;
        }
        None
    }

    /// `HCOLON` after the name of a To header.
    #[inline(always)]
    fn colon<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        match message.octet(self.position) {
            b' ' | b'\t' => {}
            b':' if self.to_headers == 0 => {
                self.to_headers = 1;
                self.to = ToState::START.number();
                self.phase = phase::TO;
            }
            // A second To header, or one without a colon.
            _ => return Some(Decision::Undecided),
        }
        self.position += 1;
        None
    }

    /// The value of a To header, up to the end of a line.
    #[inline(always)]
    fn to<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        let mut position = self.position;
        let mut state = ToState::from_number(self.to);
        for _ in 0..STEPS {
            let octet = message.octet(position);
            position += 1;
            if octet == b'\n' {
                self.phase = phase::FOLD;
                break;
            }
            state = state.after(octet);
            if state.is_final() {
                self.tag = position - 1;
                let in_dialog = state.number() == ToState::IN_DIALOG.number();
                return Some(if in_dialog { Decision::InDialog } else { Decision::Undecided });
            }
        }
        self.position = position;
        self.to = state.number();
        None
    }

    /// The octet after a line of a To header: white space continues it, anything else has ended it.
    #[inline(always)]
    fn fold<M: Message + ?Sized>(&mut self, message: &M) -> Option<Decision> {
        let state = ToState::from_number(self.to);
        if matches!(message.octet(self.position), b' ' | b'\t') {
            if !state.may_fold() {
                return Some(Decision::Undecided);
            }
            self.phase = phase::TO;
        } else if state.is_complete() {
            self.phase = phase::LINE;
        } else {
            return Some(Decision::Undecided);
        }
        None
    }
}

/// Whether `octet` goes on with a header's name: anything but what may stand between the name and its value.
#[inline(always)]
const fn is_name_octet(octet: u8) -> bool {
    !matches!(octet, b' ' | b'\t' | b':' | b'\r' | b'\n' | 0)
}
