//! The scan of a request's headers, in steps of bounded cost.

use core::ops::ControlFlow;

use zerocopy::FromBytes;

use super::exempt::{self, Header};
use super::to::ToState;
use super::{Decision, UserPart};
use crate::words::{Spelling, first_marked, is_single, marks_above_tilde, marks_below, marks_equal, repeat, word};

/// The bytes of a message, as [`Scan`] reads them.
pub trait Message {
    /// Returns the eight bytes at `offset` as a [word](crate::words). Bytes beyond the message are zero.
    fn word(&self, offset: u32) -> u64;

    /// Returns the byte at `offset`, or zero beyond the message.
    #[inline(always)]
    fn byte(&self, offset: u32) -> u8 {
        self.byte_near(offset, 0)
    }

    /// Returns the word at `offset + further`. For several words near one offset, which is then computed only once.
    #[inline(always)]
    fn word_near(&self, offset: u32, further: u8) -> u64 {
        self.word(offset + u32::from(further))
    }

    /// Returns the byte at `offset + further`.
    #[inline(always)]
    fn byte_near(&self, offset: u32, further: u8) -> u8 {
        self.word_near(offset, further) as u8
    }
}

impl Message for [u8] {
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        word(self, offset as usize)
    }
}

/// Mask of all positions: a datagram has less than 64 KiB, and a step goes less than 4 KiB further.
const POSITION_MASK: u32 = 0x1_ffff;

/// Maximum number of reads in one phase of a step, which bounds what the verifier simulates.
const READS_PER_STEP: u32 = 32;

/// Maximum number of blocks of four words that one step skips. Another step costs about as much as ten blocks.
const BLOCKS_PER_STEP: u64 = 32;

/// The part of a message that the scan reads next. [`Scan::step`] goes through the phases in this order.
#[repr(u32)]
#[derive(Clone, Copy)]
enum Phase {
    /// The beginning of the Request-URI.
    Start,
    /// The rest of the Request-URI.
    RequestUri,
    /// The SIP version.
    Version,
    /// The beginning of a line.
    Line,
    /// The colon after the name of a To header.
    Colon,
    /// The value of a To header.
    To,
    /// The byte after a line of a To header, which may be folded.
    Fold,
    /// The rest of a header that may exempt the request.
    Exempt,
    /// The rest of an irrelevant line, and all irrelevant lines after it.
    Skip,
}

/// The outcome of a step or phase: the scan continues, or it ends with a decision.
type Progress = ControlFlow<Decision>;

const CONTINUE: Progress = Progress::Continue(());

const UNDECIDED: Progress = Progress::Break(Decision::Undecided);

/// The state of a scan: how far it has read, and what it has found.
///
/// The fields are plain numbers, and the XDP program keeps them in a per-CPU map, since the verifier does not track
/// values there. On the stack it would follow every value of each field: since Linux 6.7 it explores the callback of
/// `bpf_loop` until the state converges ("bpf: verify callbacks as if they are called unknown number of times").
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes)]
pub struct Scan {
    /// Offset of the next byte to read.
    position: u32,
    /// Length of the message.
    end: u32,
    /// The [`Phase`] as a number.
    phase: u32,
    /// The [`ToState`] in the current To header, as a number.
    to: u32,
    /// Number of To headers so far.
    to_headers: u32,
    /// Nonzero after the first header line, which the next line may continue.
    in_headers: u32,
    /// The current [`Header`] that may exempt the request, as a number.
    exempting: u32,
    /// Offset of the To tag, once the decision is [`Decision::InDialog`].
    tag: u32,
    /// The user part of the Request-URI.
    user: UserPart,
}

impl Scan {
    /// Creates a scan that begins at the Request-URI, at `position` in a message of `end` bytes.
    pub fn new(position: u32, end: u32) -> Self {
        let mut scan = Self::default();
        scan.restart(position, end);
        scan
    }

    /// Starts over with another message. All fields that are not set here are written before they are read.
    #[inline(always)]
    pub const fn restart(&mut self, position: u32, end: u32) {
        self.position = position;
        self.end = end;
        self.enter(Phase::Start);
        self.to_headers = 0;
        self.in_headers = 0;
    }

    /// Returns the user part of the Request-URI, by which emergency numbers are looked up.
    #[inline(always)]
    pub const fn user(&self) -> &UserPart {
        &self.user
    }

    /// Returns the offset of the To tag in the message, if the decision is [`Decision::InDialog`].
    #[inline(always)]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Returns the offset of the empty line after the headers, if the decision is [`Decision::New`].
    #[inline(always)]
    pub const fn headers_end(&self) -> u32 {
        self.position
    }

    /// Runs one step. Returns the decision, or `Continue` if the scan needs another step.
    ///
    /// A step goes through the phases in the order in which they usually follow each other. Each step decides, or reads
    /// at least one byte, or enters another phase at the same byte, which happens at most twice in a row. So a message
    /// of n bytes takes less than 3 n steps.
    #[inline(always)]
    pub fn step<M: Message + ?Sized>(&mut self, message: &M) -> ControlFlow<Decision> {
        if self.position >= self.end {
            // The headers have no end.
            return UNDECIDED;
        }
        if self.is_in(Phase::Start) {
            self.start(message)?;
        }
        if self.is_in(Phase::RequestUri) {
            self.request_uri(message)?;
        }
        if self.is_in(Phase::Version) {
            self.version(message)?;
        }
        if self.is_in(Phase::Line) {
            self.line(message)?;
        }
        if self.is_in(Phase::Colon) {
            self.colon(message)?;
        }
        if self.is_in(Phase::To) {
            self.to(message)?;
        }
        if self.is_in(Phase::Fold) {
            self.fold(message)?;
        }
        if self.is_in(Phase::Exempt) {
            self.exempt(message)?;
        }
        if self.is_in(Phase::Skip) {
            self.skip(message);
        }
        CONTINUE
    }

    #[inline(always)]
    const fn enter(&mut self, phase: Phase) {
        self.phase = phase as u32;
    }

    #[expect(unsafe_code, reason = "a volatile read")]
    #[inline(always)]
    fn is_in(&self, phase: Phase) -> bool {
        // SAFETY: a reference is valid for reads. Volatile, to prevent jump threading: LLVM would clone the remaining
        // phases for each exit of a phase, and the verifier would explore every clone.
        let current = unsafe { (&raw const self.phase).read_volatile() };
        current == phase as u32
    }

    /// Reads the beginning of the Request-URI: an emergency service's URN, or a user part.
    #[inline(always)]
    fn start<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        let word = message.word(self.position);
        if exempt::is_emergency_urn(word, message.word(self.position + 8)) {
            return Progress::Break(Decision::Emergency);
        }
        let scheme_len = exempt::scheme_len(word);
        self.user = UserPart::NONE;
        if scheme_len != 0 {
            let user = self.position + scheme_len;
            self.user = UserPart::parse([message.word(user), message.word(user + 8)]);
        }
        self.enter(Phase::RequestUri);
        CONTINUE
    }

    /// Reads up to the space after the Request-URI, which may contain anything but space and newline.
    #[inline(always)]
    fn request_uri<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        for _ in 0..READS_PER_STEP {
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
            if self.position >= self.end || message.byte(self.position) != b' ' {
                return UNDECIDED;
            }
            self.position = advanced(self.position, 1);
            self.enter(Phase::Version);
            break;
        }
        CONTINUE
    }

    /// Reads `SIP/2.0` in any case (RFC 3261 section 7.1) and its line end, which may be a bare LF.
    #[inline(always)]
    fn version<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        const VERSION: Spelling = Spelling::new(b"sip/2.0");
        let word = message.word(self.position);
        if !VERSION.is_prefix_of(word) {
            return UNDECIDED;
        }
        let after = (word >> 56) as u8;
        if after == b'\n' {
            self.position = advanced(self.position, 8);
        } else if after == b'\r' && message.byte(self.position + 8) == b'\n' {
            self.position = advanced(self.position, 9);
        } else {
            return UNDECIDED;
        }
        self.enter(Phase::Line);
        CONTINUE
    }

    /// Reads the beginning of a line: the end of the headers, a continuation, a relevant header, or an irrelevant one.
    #[inline(always)]
    fn line<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        let word = message.word(self.position);
        let (byte, next) = (word as u8, (word >> 8) as u8);
        let is_first_line = self.in_headers == 0;
        self.in_headers = 1;
        match byte {
            b'\n' => return Progress::Break(self.end_of_headers()),
            b'\r' if next == b'\n' => return Progress::Break(self.end_of_headers()),
            // No header begins with a bare CR.
            b'\r' => return UNDECIDED,
            // The start line cannot be folded (RFC 4475 section 3.1.2.18).
            b' ' | b'\t' if is_first_line => return UNDECIDED,
            b't' | b'T' => {
                self.position = advanced(self.position, if next | 0x20 == b'o' { 2 } else { 1 });
                self.enter(Phase::Colon);
                // White space may follow the name. Anything else makes it the name of another header.
                if is_name_byte(message.byte(self.position)) {
                    self.enter(Phase::Skip);
                }
            }
            b'p' | b'P' | b'r' | b'R' | b'j' | b'J' => self.exempting_line(word, message),
            _ => self.enter(Phase::Skip),
        }
        CONTINUE
    }

    /// Reads the name of a header that may exempt the request, which begins with `word`.
    #[inline(always)]
    fn exempting_line<M: Message + ?Sized>(&mut self, word: u64, message: &M) {
        let (header, name_len) = Header::from_name(word, message.word(self.position + 8));
        self.enter(Phase::Skip);
        if header == Header::Other {
            return;
        }
        self.exempting = header as u32;
        self.position = advanced(self.position, name_len);
        if !is_name_byte(message.byte(self.position)) {
            self.enter(Phase::Exempt);
        }
    }

    #[inline(always)]
    fn end_of_headers(&self) -> Decision {
        if self.to_headers == 1 { Decision::New } else { Decision::Undecided }
    }

    /// Skips the rest of an irrelevant line, and all irrelevant lines after it.
    ///
    /// In most blocks, the next position does not depend on where a line ends, so a CPU can load several words at once.
    #[inline(always)]
    fn skip<M: Message + ?Sized>(&mut self, message: &M) {
        let mut position = self.position;
        'blocks: for _ in 0..BLOCKS_PER_STEP {
            for before in [0, 8, 16, 24] {
                let found = marks_below(message.word_near(position, before), b'\n' + 1);
                if found == 0 {
                    continue;
                }
                let newline = before + first_marked(found);
                if message.byte_near(position, newline) != b'\n' {
                    // A rare control or non-ASCII byte, after which a newline may follow. Reading the word again costs
                    // less than keeping it.
                    if marks_equal(message.word(position + u32::from(before)), repeat(b'\n')) == 0 {
                        continue;
                    }
                    position = advanced(position, newline + 1);
                    continue 'blocks;
                }
                if is_relevant(message, position, newline + 1) {
                    position = advanced(position, newline + 1);
                    self.enter(Phase::Line);
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

    /// Reads the rest of a header that may exempt the request, up to the header's end.
    ///
    /// A value may begin after `:`, `,` and white space, also on a folded line.
    #[inline(always)]
    fn exempt<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        let [priority, resource_priority, replaces] = [Header::Priority, Header::ResourcePriority, Header::Replaces]
            .map(|header| self.exempting == header as u32);
        for _ in 0..READS_PER_STEP {
            let byte = message.byte(self.position);
            let following = message.word(self.position + 1);
            match byte {
                b':' if replaces => return Progress::Break(Decision::Replaces),
                b':' | b',' | b' ' | b'\t' => {
                    let is_exempt = priority && exempt::is_urgent(following)
                        || resource_priority && exempt::is_in_namespace(following);
                    if is_exempt {
                        return Progress::Break(Decision::Emergency);
                    }
                }
                b'\n' if !matches!(following as u8, b' ' | b'\t') => {
                    self.position = advanced(self.position, 1);
                    self.enter(Phase::Line);
                    break;
                }
                // The end of the message, or a byte that no header may contain.
                0 => return UNDECIDED,
                _ => {}
            }
            self.position = advanced(self.position, 1);
        }
        CONTINUE
    }

    /// Reads the colon after the name of a To header, or the white space before it.
    #[inline(always)]
    fn colon<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        match message.byte(self.position) {
            b' ' | b'\t' => {}
            b':' if self.to_headers == 0 => {
                self.to_headers = 1;
                self.to = ToState::START.number();
                self.enter(Phase::To);
            }
            // A second To header, or a To header without a colon.
            _ => return UNDECIDED,
        }
        self.position = advanced(self.position, 1);
        CONTINUE
    }

    /// Reads the value of a To header, up to the end of a line.
    #[inline(always)]
    fn to<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        let mut position = self.position;
        let mut state = ToState::from_number(self.to);
        for _ in 0..READS_PER_STEP {
            if state.is_in_brackets() {
                let plain = plain_in_brackets(message.word(position));
                position = advanced(position, plain);
                if plain == 8 {
                    continue;
                }
            }
            let byte = message.byte(position);
            position = advanced(position, 1);
            if byte == b'\n' {
                self.enter(Phase::Fold);
                break;
            }
            state = state.after(byte);
            if state.is_final() {
                self.tag = position - 1;
                let decision = if state.is_in_dialog() { Decision::InDialog } else { Decision::Undecided };
                return Progress::Break(decision);
            }
        }
        self.position = position;
        self.to = state.number();
        CONTINUE
    }

    /// Reads the byte after a line of a To header: white space continues the header, anything else has ended it.
    #[inline(always)]
    fn fold<M: Message + ?Sized>(&mut self, message: &M) -> Progress {
        let state = ToState::from_number(self.to);
        if matches!(message.byte(self.position), b' ' | b'\t') {
            if !state.may_fold() {
                return UNDECIDED;
            }
            self.enter(Phase::To);
        } else if state.is_complete() {
            self.enter(if is_relevant(message, self.position, 0) { Phase::Line } else { Phase::Skip });
        } else {
            return UNDECIDED;
        }
        CONTINUE
    }
}

/// Returns whether the line at `offset + further` may be relevant: the end of the headers, or a header of
/// [`Scan::line`].
///
/// The continuation of an irrelevant line is irrelevant as well.
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
#[inline(always)]
fn is_relevant<M: Message + ?Sized>(message: &M, offset: u32, further: u8) -> bool {
    match RELEVANT[usize::from(message.byte_near(offset, further))] {
        0 => false,
        ALWAYS => true,
        second => message.byte_near(offset, further + 1) | 0x20 == second,
    }
}

/// Entry of [`RELEVANT`] for lines that are relevant whatever their second byte is.
const ALWAYS: u8 = 1;

/// By the first byte of a line: 0 if the line is irrelevant, [`ALWAYS`], or the second byte of relevant lines in lower
/// case.
#[expect(clippy::indexing_slicing, reason = "built at compile time")]
static RELEVANT: [u8; 256] = {
    let mut table = [0; 256];
    // The end of the headers, and `To`, whose compact form is `t`.
    table[b'\r' as usize] = ALWAYS;
    table[b'\n' as usize] = ALWAYS;
    table[b't' as usize] = ALWAYS;
    table[b'T' as usize] = ALWAYS;
    // `Priority`; `Replaces` and `Resource-Priority`; `Join`.
    table[b'p' as usize] = b'r';
    table[b'P' as usize] = b'r';
    table[b'r' as usize] = b'e';
    table[b'R' as usize] = b'e';
    table[b'j' as usize] = b'o';
    table[b'J' as usize] = b'o';
    table
};

/// Returns the number of bytes, from the first of `word` on, that are an ordinary part of a URI in brackets.
#[inline(always)]
const fn plain_in_brackets(word: u64) -> u8 {
    // `<` and `>` differ in one bit.
    let brackets = word & repeat(!0x02);
    if marks_below(word, b' ') | marks_below(brackets ^ repeat(b'<'), 1) | marks_above_tilde(word) == 0 {
        return 8;
    }
    // Control bytes have none of the three highest bits, or are DEL.
    let found =
        marks_equal(brackets, repeat(b'<')) | marks_equal(word & repeat(0xe0), 0) | marks_equal(word, repeat(0x7f));
    if found == 0 { 8 } else { first_marked(found) }
}

/// Returns `position + bytes`.
///
/// The mask changes no position within a datagram. But the verifier treats all masked sums as one unknown number, and
/// would follow unmasked sums separately.
#[inline(always)]
pub(super) const fn advanced(position: u32, bytes: u8) -> u32 {
    (position + bytes as u32) & POSITION_MASK
}

/// Returns whether `byte` continues the name of a header: anything but what may be between the name and its value.
#[inline(always)]
const fn is_name_byte(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b':' | b'\r' | b'\n' | 0)
}

#[cfg(test)]
mod tests {
    use super::{ToState, plain_in_brackets};

    #[test]
    fn bytes_skipped_in_brackets_do_not_change_the_state() {
        let in_brackets = ToState::START.after(b'<');
        assert!(in_brackets.is_in_brackets());
        for byte in 0..=u8::MAX {
            let stays = byte != b'\n' && in_brackets.after(byte).is_in_brackets();
            for at in 0..8 {
                let mut bytes = *b"sip:bob@";
                bytes[at] = byte;
                let plain = plain_in_brackets(u64::from_le_bytes(bytes)) as usize;
                // The automaton takes tabs and CR one by one, and stays in the state.
                let expected = if stays && byte >= b' ' { 8 } else { at };
                assert_eq!(plain, expected, "{byte:#x} at {at}");
            }
        }
    }
}
