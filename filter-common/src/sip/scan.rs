//! The scan of an INVITE's headers, in turns that each cost a bounded number of steps.

use core::ops::ControlFlow;

use super::Decision;
use super::exempt::{self, Header, UserPart};
use super::to::ToState;
use crate::words::{Spelling, first_marked, is_single, marks_above_tilde, marks_below, marks_equal, repeat, word};

/// The octets of a message, as [`Scan`] reads them.
pub trait Message {
    /// The eight octets from `offset` on, the first in the lowest bits. Octets after the message's end are zero.
    fn word(&self, offset: u32) -> u64;

    /// The octet at `offset`, zero after the message's end.
    #[inline(always)]
    fn octet(&self, offset: u32) -> u8 {
        self.octet_near(offset, 0)
    }

    /// The word so many octets after `offset`: for several in one place, which has to be found only once.
    #[inline(always)]
    fn word_near(&self, offset: u32, further: u8) -> u64 {
        self.word(offset + u32::from(further))
    }

    /// The octet so many after `offset`.
    #[inline(always)]
    fn octet_near(&self, offset: u32, further: u8) -> u8 {
        self.word_near(offset, further) as u8
    }
}

impl Message for [u8] {
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        word(self, offset as usize)
    }
}

/// No position is beyond it: a datagram has less than 64 KiB, and one turn goes less than 4 KiB further.
const POSITION_MASK: u32 = 0x1_ffff;

/// How many octets or words one turn looks at in a phase, at most: it bounds what the verifier simulates.
const STEPS: u32 = 32;

/// How many steps of up to four words one turn skips, at most. A turn costs some ten times as much as a step.
const SKIPPED: u64 = 32;

/// What the scan has before it, in the order in which [`Scan::turn`] goes through them.
mod phase {
    /// At the beginning of the Request-URI.
    pub(super) const START: u32 = 0;
    /// In it.
    pub(super) const REQUEST_URI: u32 = 1;
    /// At the SIP version.
    pub(super) const VERSION: u32 = 2;
    /// At the beginning of a line.
    pub(super) const LINE: u32 = 3;
    /// Between the name of a To header and its colon.
    pub(super) const COLON: u32 = 4;
    /// In the value of a To header.
    pub(super) const TO: u32 = 5;
    /// After a line of a To header: is the next one its continuation?
    pub(super) const FOLD: u32 = 6;
    /// After the name of a header that may exempt the request.
    pub(super) const EXEMPT: u32 = 7;
    /// In a line that does not matter.
    pub(super) const SKIP: u32 = 8;
}

/// A step of the scan: it goes on, or there is a decision.
type Step = ControlFlow<Decision>;

/// No decision yet.
const ON: Step = Step::Continue(());

const fn undecided() -> Step {
    Step::Break(Decision::Undecided)
}

/// A scan under way: how far it has read, and what it knows by then.
///
/// Its fields are plain numbers, and the XDP program keeps it in a per-CPU map, because the verifier tracks nothing
/// there: on the stack, it would follow every value that each field can have (the callback of `bpf_loop` is
/// explored until its state converges, since Linux 6.7, "bpf: verify callbacks as if they are called unknown number of
/// times").
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
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
    user: UserPart,
}

/// Headers that may exempt a request.
mod exempting {
    pub(super) const PRIORITY: u32 = 0;
    pub(super) const RESOURCE_PRIORITY: u32 = 1;
    pub(super) const REPLACES: u32 = 2;
}

impl Scan {
    /// A scan that begins at the Request-URI, `position` octets into a message of `end` octets.
    pub fn new(position: u32, end: u32) -> Self {
        let mut scan = Self::default();
        scan.begin(position, end);
        scan
    }

    /// Begins anew, whatever was read before: what is not set here is written before it is read.
    #[inline(always)]
    pub const fn begin(&mut self, position: u32, end: u32) {
        self.position = position;
        self.end = end;
        self.phase = phase::START;
        self.to_headers = 0;
        self.in_headers = 0;
    }

    /// The user part of the Request-URI, to be looked up in the set of emergency numbers.
    #[inline(always)]
    pub const fn user(&self) -> &UserPart {
        &self.user
    }

    /// Where the To tag begins, in octets from the beginning of the message, if the decision is
    /// [`Decision::InDialog`].
    #[inline(always)]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Reads on, until there is a decision: while it continues, call again.
    ///
    /// A turn goes through the phases in the order in which they mostly follow each other. Each turn either decides or has
    /// read at least one octet or entered another phase at the same octet, at most twice in a row; so a message of n octets
    /// takes less than 3 n turns.
    #[inline(always)]
    pub fn turn<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        if self.position >= self.end {
            // The headers have no end in sight.
            return undecided();
        }
        if self.phase() == phase::START {
            self.start(message)?;
        }
        if self.phase() == phase::REQUEST_URI {
            self.request_uri(message)?;
        }
        if self.phase() == phase::VERSION {
            self.version(message)?;
        }
        if self.phase() == phase::LINE {
            self.line(message)?;
        }
        if self.phase() == phase::COLON {
            self.colon(message)?;
        }
        if self.phase() == phase::TO {
            self.to(message)?;
        }
        if self.phase() == phase::FOLD {
            self.fold(message)?;
        }
        if self.phase() == phase::EXEMPT {
            self.exempt(message)?;
        }
        if self.phase() == phase::SKIP {
            self.skip(message);
        }
        ON
    }

    /// The phase, as the memory has it.
    #[inline(always)]
    fn phase(&self) -> u32 {
        // SAFETY: a reference is valid for reads. Volatile, since LLVM would otherwise lead each end of a phase by a way of
        // its own through all the others, and the verifier would have to follow them all.
        unsafe { (&raw const self.phase).read_volatile() }
    }

    /// The beginning of the Request-URI: is it an emergency service's, and whose user part is it?
    #[inline(always)]
    fn start<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        let word = message.word(self.position);
        if exempt::is_emergency_urn(word, message.word(self.position + 8)) {
            return Step::Break(Decision::Emergency);
        }
        let scheme = exempt::scheme(word);
        self.user = UserPart::NONE;
        if scheme != 0 {
            let user = self.position + scheme;
            self.user = UserPart::parse([message.word(user), message.word(user + 8)]);
        }
        self.phase = phase::REQUEST_URI;
        ON
    }

    /// `Request-URI SP`: the URI itself is not looked at, but it holds neither space nor newline.
    #[inline(always)]
    fn request_uri<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        for _ in 0..STEPS {
            let word = message.word(self.position);
            let found = match marks_below(word, b' ' + 1) {
                0 => 0,
                _ => marks_equal(word, repeat(b' ')) | marks_equal(word, repeat(b'\n')),
            };
            if found == 0 {
                self.position = advanced(self.position, 8);
                continue;
            }
            self.position = advanced(self.position, first_marked(found));
            if self.position >= self.end || message.octet(self.position) != b' ' {
                return undecided();
            }
            self.position = advanced(self.position, 1);
            self.phase = phase::VERSION;
            break;
        }
        ON
    }

    /// `SIP/2.0 CRLF`, in any case (RFC 3261 section 7.1); LF alone ends the line too.
    #[inline(always)]
    fn version<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        const VERSION: Spelling = Spelling::new(b"sip/2.0");
        let word = message.word(self.position);
        if !VERSION.is_prefix_of(word) {
            return undecided();
        }
        let after = (word >> 56) as u8;
        if after == b'\n' {
            self.position = advanced(self.position, 8);
        } else if after == b'\r' && message.octet(self.position + 8) == b'\n' {
            self.position = advanced(self.position, 9);
        } else {
            return undecided();
        }
        self.phase = phase::LINE;
        ON
    }

    /// The beginning of a line: the end of the headers, a continuation, a To header, or one that does not matter.
    #[inline(always)]
    fn line<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        let word = message.word(self.position);
        let (octet, after) = (word as u8, (word >> 8) as u8);
        let first_line = self.in_headers == 0;
        self.in_headers = 1;
        match octet {
            b'\n' => return Step::Break(self.end_of_headers()),
            b'\r' if after == b'\n' => return Step::Break(self.end_of_headers()),
            // A lone CR: no header begins with it.
            b'\r' => return undecided(),
            // A continuation of the start line, which cannot be folded (RFC 4475 section 3.1.2.18).
            b' ' | b'\t' if first_line => return undecided(),
            b't' | b'T' => {
                self.position = advanced(self.position, if after | 0x20 == b'o' { 2 } else { 1 });
                self.phase = phase::COLON;
                // White space between name and colon is legal, anything else makes it another header.
                if is_name_octet(message.octet(self.position)) {
                    self.phase = phase::SKIP;
                }
            }
            b'p' | b'P' | b'r' | b'R' | b'j' | b'J' => self.exempting_line(word, message),
            _ => self.phase = phase::SKIP,
        }
        ON
    }

    /// The beginning, `word`, of a line that may exempt the request.
    #[inline(always)]
    fn exempting_line<M: Message + ?Sized>(&mut self, word: u64, message: &M) {
        let (header, length) = exempt::header(word, message.word(self.position + 8));
        self.phase = phase::SKIP;
        self.exempting = match header {
            Header::Priority => exempting::PRIORITY,
            Header::ResourcePriority => exempting::RESOURCE_PRIORITY,
            Header::Replaces => exempting::REPLACES,
            Header::Other => return,
        };
        self.position = advanced(self.position, length);
        if !is_name_octet(message.octet(self.position)) {
            self.phase = phase::EXEMPT;
        }
    }

    #[inline(always)]
    fn end_of_headers(&self) -> Decision {
        if self.to_headers == 1 { Decision::New } else { Decision::Undecided }
    }

    /// The rest of a line that does not matter, and all lines after it that do not matter either.
    ///
    /// Where it reads on does not hang on where the lines end, so that a CPU can look at several words at once.
    #[inline(always)]
    fn skip<M: Message + ?Sized>(&mut self, message: &M) {
        let mut position = self.position;
        'blocks: for _ in 0..SKIPPED {
            for before in [0, 8, 16, 24] {
                let found = marks_below(message.word_near(position, before), b'\n' + 1);
                if found == 0 {
                    continue;
                }
                let newline = before + first_marked(found);
                if message.octet_near(position, newline) != b'\n' {
                    // Something rare. A newline may stand after it. The word is read again, for which nothing has to be kept.
                    if marks_equal(message.word(position + u32::from(before)), repeat(b'\n')) == 0 {
                        continue;
                    }
                    position = advanced(position, newline + 1);
                    continue 'blocks;
                }
                if may_matter(message, position, newline + 1) {
                    position = advanced(position, newline + 1);
                    self.phase = phase::LINE;
                    break 'blocks;
                }
                if !is_single(found) {
                    position = advanced(position, newline + 1);
                    continue 'blocks;
                }
            }
            position = advanced(position, 32);
        }
        self.position = position;
    }

    /// What follows the name of a header that may exempt the request, up to the header's end.
    ///
    /// Its values are looked for wherever one may begin: after `:`, `,` and white space, on a folded line too.
    #[inline(always)]
    fn exempt<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        for _ in 0..STEPS {
            let octet = message.octet(self.position);
            let follows = message.word(self.position + 1);
            match octet {
                b':' if self.exempting == exempting::REPLACES => return Step::Break(Decision::Replaces),
                b':' | b',' | b' ' | b'\t' => {
                    let passes = match self.exempting {
                        exempting::PRIORITY => exempt::is_urgent(follows),
                        exempting::RESOURCE_PRIORITY => exempt::is_in_namespace(follows),
                        _ => false,
                    };
                    if passes {
                        return Step::Break(Decision::Emergency);
                    }
                }
                b'\n' if !matches!(follows as u8, b' ' | b'\t') => {
                    self.position = advanced(self.position, 1);
                    self.phase = phase::LINE;
                    break;
                }
                // The message's end, or an octet that no header may hold.
                0 => return undecided(),
                _ => {}
            }
            self.position = advanced(self.position, 1);
        }
        ON
    }

    /// `HCOLON` after the name of a To header.
    #[inline(always)]
    fn colon<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        match message.octet(self.position) {
            b' ' | b'\t' => {}
            b':' if self.to_headers == 0 => {
                self.to_headers = 1;
                self.to = ToState::START.number();
                self.phase = phase::TO;
            }
            // A second To header, or one without a colon.
            _ => return undecided(),
        }
        self.position = advanced(self.position, 1);
        ON
    }

    /// The value of a To header, up to the end of a line.
    #[inline(always)]
    fn to<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        let mut position = self.position;
        let mut state = ToState::from_number(self.to);
        for _ in 0..STEPS {
            if state.is_in_brackets() {
                let plain = plain_in_brackets(message.word(position));
                position = advanced(position, plain);
                if plain == 8 {
                    continue;
                }
            }
            let octet = message.octet(position);
            position = advanced(position, 1);
            if octet == b'\n' {
                self.phase = phase::FOLD;
                break;
            }
            state = state.after(octet);
            if state.is_final() {
                self.tag = position - 1;
                let in_dialog = state.number() == ToState::IN_DIALOG.number();
                return Step::Break(if in_dialog { Decision::InDialog } else { Decision::Undecided });
            }
        }
        self.position = position;
        self.to = state.number();
        ON
    }

    /// The octet after a line of a To header: white space continues it, anything else has ended it.
    #[inline(always)]
    fn fold<M: Message + ?Sized>(&mut self, message: &M) -> Step {
        let state = ToState::from_number(self.to);
        if matches!(message.octet(self.position), b' ' | b'\t') {
            if !state.may_fold() {
                return undecided();
            }
            self.phase = phase::TO;
        } else if state.is_complete() {
            self.phase = if may_matter(message, self.position, 0) { phase::LINE } else { phase::SKIP };
        } else {
            return undecided();
        }
        ON
    }
}

/// Whether a line that begins so many octets after `offset` may be more to the scan than one that does not matter: the headers' end,
/// or a header of [`Scan::line`]. The continuation of a line that does not matter does not matter either.
#[inline(always)]
fn may_matter<M: Message + ?Sized>(message: &M, offset: u32, further: u8) -> bool {
    match MATTER[usize::from(message.octet_near(offset, further))] {
        0 => false,
        ALWAYS => true,
        second => message.octet_near(offset, further + 1) | 0x20 == second,
    }
}

/// In [`MATTER`]: whatever the second octet is.
const ALWAYS: u8 = 1;

/// By the first octet of a line: 0 if the line does not matter, [`ALWAYS`], or the second octet of those that do, in lower case.
static MATTER: [u8; 256] = {
    let mut table = [0; 256];
    // The headers' end; and `To`, which also has the compact form `t`.
    table[b'\r' as usize] = ALWAYS;
    table[b'\n' as usize] = ALWAYS;
    table[b't' as usize] = ALWAYS;
    table[b'T' as usize] = ALWAYS;
    // Priority; Replaces and Resource-Priority; Join.
    table[b'p' as usize] = b'r';
    table[b'P' as usize] = b'r';
    table[b'r' as usize] = b'e';
    table[b'R' as usize] = b'e';
    table[b'j' as usize] = b'o';
    table[b'J' as usize] = b'o';
    table
};

/// How many octets of `word`, from the first on, are nothing to a URI in brackets but a part of it.
#[inline(always)]
const fn plain_in_brackets(word: u64) -> u8 {
    // `<` and `>` differ in one bit.
    let brackets = word & repeat(!0x02);
    if marks_below(word, b' ') | marks_below(brackets ^ repeat(b'<'), 1) | marks_above_tilde(word) == 0 {
        return 8;
    }
    // The control octets are those without one of the three highest bits, and DEL.
    let found =
        marks_equal(brackets, repeat(b'<')) | marks_equal(word & repeat(0xe0), 0) | marks_equal(word, repeat(0x7f));
    if found == 0 { 8 } else { first_marked(found) }
}

/// The position so many octets further on.
///
/// The mask says nothing new of a position in a datagram, but to the verifier: it takes all sums for the same unknown
/// number, where it would else follow each of them by itself.
#[inline(always)]
const fn advanced(position: u32, octets: u8) -> u32 {
    (position + octets as u32) & POSITION_MASK
}

/// Whether `octet` goes on with a header's name: anything but what may stand between the name and its value.
#[inline(always)]
const fn is_name_octet(octet: u8) -> bool {
    !matches!(octet, b' ' | b'\t' | b':' | b'\r' | b'\n' | 0)
}

#[cfg(test)]
mod tests {
    use super::{ToState, plain_in_brackets};

    #[test]
    fn what_is_skipped_in_brackets_is_what_changes_nothing_there() {
        let in_brackets = ToState::START.after(b'<');
        assert!(in_brackets.is_in_brackets());
        for octet in 0..=u8::MAX {
            let stays = octet != b'\n' && in_brackets.after(octet).is_in_brackets();
            for at in 0..8 {
                let mut octets = *b"sip:bob@";
                octets[at] = octet;
                let plain = plain_in_brackets(u64::from_le_bytes(octets)) as usize;
                // Tabs and CR are skipped one by one by the automaton, which lets them stand.
                let expected = if stays && octet >= b' ' { 8 } else { at };
                assert_eq!(plain, expected, "{octet:#x} at {at}");
            }
        }
    }
}
