//! The value of a To header, parsed by a table-driven automaton, byte by byte (RFC 3261 section 25.1, `to-param`).
//!
//! With a table, a byte costs two loads and no branch in any state, and the verifier follows one path.

use State as S;

/// The position of the automaton in the value of a To header.
///
/// The order matters: [`ToState::is_complete`] and [`ToState::is_final`] are comparisons.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    // In these states the value is incomplete.
    /// Before the display name or the URI.
    Start,
    /// After a quoted display name.
    AfterQuoted,
    /// In a quoted display name.
    Quoted,
    /// After a backslash in a quoted display name.
    QuotedPair,
    /// Between `<` and `>`, where `;tag=` is a parameter of the URI.
    Uri,
    /// After `;`.
    Parameter,
    /// At the beginning of a quoted `tag` value.
    TagQuoted,
    /// In the quoted value of another parameter.
    ValueQuoted,
    /// After a backslash in a quoted value.
    ValueQuotedPair,
    // In these states the value may end, and has no tag then.
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
    /// After `tag =`, before its value. An empty tag is no tag.
    TagEquals,
    /// After the `=` of another parameter.
    Equals,
    /// In the value of another parameter.
    Value,
    /// After a value.
    AfterValue,
    // These states are final.
    /// After the first byte of a tag.
    InDialog,
    /// After a violation of the grammar.
    Undecided,
}

/// Number of states in the table: a power of two, so that a mask bounds an index.
const STATES: usize = 32;
/// Number of classes in the table: a power of two as well.
const CLASSES: usize = 16;

/// The class of a byte.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Class {
    /// A byte of a name, a URI or a value.
    Other,
    /// Space, tab or CR. A line ends with CRLF or LF. A bare CR is white space, since Kamailio folds there.
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
    /// NUL or another control byte, which no header may contain.
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

/// Returns the state after a byte of class `class` in state `state`.
///
/// The byte is never a newline: the caller treats folds as white space, and checks [`ToState::is_complete`] at the end.
#[expect(
    clippy::too_many_lines,
    reason = "one match over all states, so that the compiler checks that none is missing"
)]
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

/// Returns the state after a byte in the name of a parameter, which may be `tag`.
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

#[expect(clippy::indexing_slicing, reason = "built at compile time")]
static CLASS_OF: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = class(byte as u8) as u8;
        byte += 1;
    }
    table
};

#[expect(clippy::indexing_slicing, reason = "built at compile time")]
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

// The numbers of the variants index the tables.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
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

/// A [`State`] as a number, since the XDP program keeps it in a map and has to accept any content.
#[derive(Clone, Copy)]
pub(super) struct ToState(u32);

impl ToState {
    pub(super) const START: Self = Self(S::Start as u32);

    /// Returns the state with a number from [`number`](Self::number).
    #[inline(always)]
    pub(super) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of the state.
    #[inline(always)]
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// Returns the state after `byte`, which is not a newline.
    #[expect(clippy::indexing_slicing, reason = "the masks bound the indices")]
    #[inline(always)]
    pub(super) fn after(self, byte: u8) -> Self {
        let class = CLASS_OF[usize::from(byte)] as usize & (CLASSES - 1);
        let state = self.0 as usize & (STATES - 1);
        Self(u32::from(NEXT[state * CLASSES + class]))
    }

    /// Returns whether the header may end here, without a tag.
    #[inline(always)]
    pub(super) const fn is_complete(self) -> bool {
        self.0 >= S::Display as u32 && self.0 <= S::AfterValue as u32
    }

    /// Returns whether the state is final.
    #[inline(always)]
    pub(super) const fn is_final(self) -> bool {
        self.0 >= S::InDialog as u32
    }

    /// Returns whether the header has a tag.
    #[inline(always)]
    pub(super) const fn is_in_dialog(self) -> bool {
        self.0 == S::InDialog as u32
    }

    /// Returns whether the next byte is part of a URI in brackets, unless it is a newline, `<`, `>` or a control.
    #[inline(always)]
    pub(super) const fn is_in_brackets(self) -> bool {
        self.0 == S::Uri as u32
    }

    /// Returns whether the line may be folded here (`LWS`): not in a URI, and not after a backslash.
    #[inline(always)]
    pub(super) const fn may_fold(self) -> bool {
        self.0 != S::Uri as u32 && self.0 != S::QuotedPair as u32 && self.0 != S::ValueQuotedPair as u32
    }
}
