//! The value of a To header as a table-driven automaton that takes one byte a step (RFC 3261 section 25.1, `to-param`).
//!
//! A table, since it is the form in which the verifier of the kernel and a reader see the same thing: a step is two
//! loads, without a branch, whatever the state.

use State as S;

/// Where in the value of a To header a byte stands.
///
/// The order matters: [`State::is_complete`] and [`State::is_final`] are comparisons.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    // States in which the value must not end:
    /// Before the display name or the URI.
    Start,
    /// After a quoted display name.
    AfterQuoted,
    /// In a quoted display name.
    Quoted,
    /// After a backslash in it.
    QuotedPair,
    /// Between `<` and `>`, where `;tag=` is the URI's own.
    Uri,
    /// After `;`.
    Parameter,
    /// In a quoted `tag` value that has been empty so far.
    TagQuoted,
    /// In the quoted value of another parameter.
    ValueQuoted,
    /// After a backslash in it.
    ValueQuotedPair,
    // States in which it may end; then there is no tag:
    /// In an unquoted display name or in a URI without brackets.
    Display,
    /// After `>`.
    AfterUri,
    /// In a parameter's name, after `t`.
    NameT,
    /// After `ta`.
    NameTa,
    /// After `tag`.
    NameTag,
    /// In the name of another parameter.
    Name,
    /// In white space after the name `tag`.
    AfterTag,
    /// In white space after another name.
    AfterName,
    /// After `tag =`, nothing of its value seen: an empty tag is none.
    TagEquals,
    /// After the `=` of another parameter.
    Equals,
    /// In the value of another parameter.
    Value,
    /// After a value.
    AfterValue,
    // What is decided:
    /// A tag that is not empty.
    InDialog,
    /// Not the grammar of a To header.
    Undecided,
}

/// How many states there are room for in the table: a power of two, so that a mask bounds an index.
const STATES: usize = 32;
/// How many classes there are room for, likewise.
const CLASSES: usize = 16;

/// What a byte is to the automaton.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Class {
    /// Part of a name, a URI or a value.
    Other,
    /// Space, tab or CR. A line's end is CRLF or LF, and Kamailio folds at a lone CR too, so CR is no more than this.
    White,
    Quote,
    Less,
    Greater,
    Semicolon,
    Equal,
    Comma,
    Backslash,
    LetterT,
    LetterA,
    LetterG,
    /// NUL and the other control bytes, which no header may hold.
    Control,
}

const fn class(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\r' => Class::White,
        b'"' => Class::Quote,
        b'<' => Class::Less,
        b'>' => Class::Greater,
        b';' => Class::Semicolon,
        b'=' => Class::Equal,
        b',' => Class::Comma,
        b'\\' => Class::Backslash,
        b't' | b'T' => Class::LetterT,
        b'a' | b'A' => Class::LetterA,
        b'g' | b'G' => Class::LetterG,
        0..0x20 | 0x7f => Class::Control,
        _ => Class::Other,
    }
}

/// The state after a byte of class `class` in state `state`. Newlines never come here: a fold is white space, and the
/// end of the header is for [`State::is_complete`].
const fn next(state: State, class: Class) -> State {
    if matches!(class, Class::Control) {
        return S::Undecided;
    }
    match state {
        S::Start | S::AfterQuoted => match class {
            Class::White => state,
            Class::Quote => S::Quoted,
            Class::Less => S::Uri,
            Class::Greater | Class::Semicolon | Class::Comma | Class::Backslash => S::Undecided,
            _ if matches!(state, S::Start) => S::Display,
            _ => state,
        },
        S::Display => match class {
            Class::Quote => S::Quoted,
            Class::Less => S::Uri,
            Class::Semicolon => S::Parameter,
            Class::Greater | Class::Comma | Class::Backslash => S::Undecided,
            _ => S::Display,
        },
        S::Quoted => match class {
            Class::Quote => S::AfterQuoted,
            Class::Backslash => S::QuotedPair,
            _ => S::Quoted,
        },
        S::QuotedPair => S::Quoted,
        S::Uri => match class {
            Class::Greater => S::AfterUri,
            Class::Less => S::Undecided,
            _ => S::Uri,
        },
        S::AfterUri | S::AfterValue => match class {
            Class::White => state,
            Class::Semicolon => S::Parameter,
            _ => S::Undecided,
        },
        S::Parameter => match class {
            Class::White => S::Parameter,
            Class::LetterT => S::NameT,
            Class::Other | Class::LetterA | Class::LetterG => S::Name,
            _ => S::Undecided,
        },
        S::NameT | S::NameTa | S::NameTag | S::Name => next_in_name(state, class),
        S::AfterTag | S::AfterName => match class {
            Class::White => state,
            Class::Semicolon => S::Parameter,
            Class::Equal if matches!(state, S::AfterTag) => S::TagEquals,
            Class::Equal => S::Equals,
            _ => S::Undecided,
        },
        S::TagEquals => match class {
            Class::White => S::TagEquals,
            Class::Semicolon => S::Parameter,
            Class::Quote => S::TagQuoted,
            _ => S::InDialog,
        },
        S::TagQuoted => match class {
            Class::Quote => S::AfterValue,
            _ => S::InDialog,
        },
        S::Equals => match class {
            Class::White => S::Equals,
            Class::Semicolon => S::Parameter,
            Class::Quote => S::ValueQuoted,
            Class::Less | Class::Greater | Class::Comma | Class::Backslash => S::Undecided,
            _ => S::Value,
        },
        S::Value => match class {
            Class::White => S::AfterValue,
            Class::Semicolon => S::Parameter,
            Class::Quote | Class::Less | Class::Greater | Class::Comma | Class::Backslash => S::Undecided,
            _ => S::Value,
        },
        S::ValueQuoted => match class {
            Class::Quote => S::AfterValue,
            Class::Backslash => S::ValueQuotedPair,
            _ => S::ValueQuoted,
        },
        S::ValueQuotedPair => S::ValueQuoted,
        S::InDialog | S::Undecided => state,
    }
}

/// [`next`] within the name of a parameter, where `tag` is told from the others.
const fn next_in_name(state: State, class: Class) -> State {
    let is_tag = matches!(state, S::NameTag);
    match class {
        Class::White if is_tag => S::AfterTag,
        Class::White => S::AfterName,
        Class::Equal if is_tag => S::TagEquals,
        Class::Equal => S::Equals,
        Class::Semicolon => S::Parameter,
        Class::LetterA if matches!(state, S::NameT) => S::NameTa,
        Class::LetterG if matches!(state, S::NameTa) => S::NameTag,
        Class::Other | Class::LetterT | Class::LetterA | Class::LetterG => S::Name,
        _ => S::Undecided,
    }
}

static CLASS_OF: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = class(byte as u8) as u8;
        byte += 1;
    }
    table
};

static NEXT: [u8; STATES * CLASSES] = {
    let mut table = [S::Undecided as u8; STATES * CLASSES];
    let mut state = 0;
    while state < ALL_STATES.len() {
        let mut class = 0;
        while class < ALL_CLASSES.len() {
            table[state * CLASSES + class] = next(ALL_STATES[state], ALL_CLASSES[class]) as u8;
            class += 1;
        }
        state += 1;
    }
    table
};

const ALL_STATES: [State; S::Undecided as usize + 1] = [
    S::Start,
    S::AfterQuoted,
    S::Quoted,
    S::QuotedPair,
    S::Uri,
    S::Parameter,
    S::TagQuoted,
    S::ValueQuoted,
    S::ValueQuotedPair,
    S::Display,
    S::AfterUri,
    S::NameT,
    S::NameTa,
    S::NameTag,
    S::Name,
    S::AfterTag,
    S::AfterName,
    S::TagEquals,
    S::Equals,
    S::Value,
    S::AfterValue,
    S::InDialog,
    S::Undecided,
];

const ALL_CLASSES: [Class; Class::Control as usize + 1] = [
    Class::Other,
    Class::White,
    Class::Quote,
    Class::Less,
    Class::Greater,
    Class::Semicolon,
    Class::Equal,
    Class::Comma,
    Class::Backslash,
    Class::LetterT,
    Class::LetterA,
    Class::LetterG,
    Class::Control,
];

// The tables are indexed by the numbers of the variants.
const _: () = {
    let mut number = 0;
    while number < ALL_STATES.len() {
        assert!(ALL_STATES[number] as usize == number);
        number += 1;
    }
    let mut number = 0;
    while number < ALL_CLASSES.len() {
        assert!(ALL_CLASSES[number] as usize == number);
        number += 1;
    }
    assert!(ALL_STATES.len() <= STATES && ALL_CLASSES.len() <= CLASSES);
};

/// A [`State`] in the form in which the scan keeps it.
///
/// A number and not the enum: the XDP program keeps it in a map, of whose content the verifier knows nothing.
#[derive(Clone, Copy)]
pub(super) struct ToState(u32);

impl ToState {
    pub(super) const START: Self = Self(S::Start as u32);
    pub(super) const IN_DIALOG: Self = Self(S::InDialog as u32);

    /// From what [`ToState::number`] gave.
    #[inline(always)]
    pub(super) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    #[inline(always)]
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// The state after `byte`, which is no newline.
    #[inline(always)]
    pub(super) fn after(self, byte: u8) -> Self {
        let class = CLASS_OF[usize::from(byte)] as usize & (CLASSES - 1);
        let state = self.0 as usize & (STATES - 1);
        Self(u32::from(NEXT[state * CLASSES + class]))
    }

    /// Whether the header may end here, without a tag.
    #[inline(always)]
    pub(super) const fn is_complete(self) -> bool {
        self.0 >= S::Display as u32 && self.0 <= S::AfterValue as u32
    }

    /// Whether the decision has been made.
    #[inline(always)]
    pub(super) const fn is_final(self) -> bool {
        self.0 >= S::InDialog as u32
    }

    /// Whether what comes is a part of a URI until the bracket is closed: any octet but a newline, `<`, `>` and controls.
    #[inline(always)]
    pub(super) const fn is_in_brackets(self) -> bool {
        self.0 == S::Uri as u32
    }

    /// Whether a line may be folded here (`LWS`): not in a URI, nor between a backslash and what it escapes.
    #[inline(always)]
    pub(super) const fn may_fold(self) -> bool {
        self.0 != S::Uri as u32 && self.0 != S::QuotedPair as u32 && self.0 != S::ValueQuotedPair as u32
    }
}
