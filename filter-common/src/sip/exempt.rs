//! What makes a request pass although it is new: an emergency, or a call that it takes the place of.
//!
//! Where a spelling is odd, these lean to passing: they compare beginnings, and letters by their low five bits.

use crate::words::{LOWER_CASE, first_marked, marks_equal, pack, repeat};

/// What a header whose name is at hand is to the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// None of those below.
    Other,
    /// `Priority` (RFC 3261 section 20.26); its value decides. The header's name has this many octets.
    Priority,
    /// `Resource-Priority` (RFC 4412); its values decide.
    ResourcePriority,
    /// `Replaces` (RFC 3891) or `Join` (RFC 3911).
    Replaces,
}

/// Tells the header whose name begins with the octets of `word` and `next`, and how long its name is.
#[inline(always)]
pub(super) const fn header(word: u64, next: u64) -> (Header, u8) {
    let word = word | LOWER_CASE;
    if word == folded(b"priority") {
        return (Header::Priority, 8);
    }
    if word == folded(b"replaces") {
        return (Header::Replaces, 8);
    }
    if word & 0xffff_ffff == folded(b"join") & 0xffff_ffff {
        return (Header::Replaces, 4);
    }
    if word == folded(b"resource") && next | LOWER_CASE == folded(b"-priorit") {
        return (Header::ResourcePriority, 17);
    }
    (Header::Other, 0)
}

/// Whether a value of `Priority` that begins with `word` passes: `emergency` (RFC 3261) and `psap-callback` (RFC 7090).
#[inline(always)]
pub(super) const fn is_urgent(word: u64) -> bool {
    let word = word | LOWER_CASE;
    word == folded(b"emergenc") || word == folded(b"psap-cal")
}

/// Whether a value of `Resource-Priority` that begins with `word` passes: the namespaces `ets` and `wps` (RFC 4412
/// section 12.6) and `esnet` (RFC 7135).
#[inline(always)]
pub(super) const fn is_in_namespace(word: u64) -> bool {
    let word = word | LOWER_CASE;
    let four = word & 0xffff_ffff;
    four == folded(b"ets.") & 0xffff_ffff
        || four == folded(b"wps.") & 0xffff_ffff
        || word & 0xffff_ffff_ffff == folded(b"esnet.") & 0xffff_ffff_ffff
}

/// Whether a Request-URI that begins with these words is the emergency service's, or one below it (RFC 5031).
#[inline(always)]
pub(super) const fn is_emergency_urn(word: u64, next: u64) -> bool {
    // "urn:service:sos" has 15 octets.
    word | LOWER_CASE == folded(b"urn:serv") && (next | LOWER_CASE) << 8 == folded(b"ice:sos") << 8
}

/// How long the scheme of a Request-URI with a user part is, with its colon: 0 if it is none of `sip`, `sips` and `tel`.
#[inline(always)]
pub(super) const fn scheme(word: u64) -> u32 {
    let word = word | LOWER_CASE;
    let four = word & 0xffff_ffff;
    if four == folded(b"sip:") & 0xffff_ffff || four == folded(b"tel:") & 0xffff_ffff {
        4
    } else if word & 0xff_ffff_ffff == folded(b"sips:") & 0xff_ffff_ffff {
        5
    } else {
        0
    }
}

/// Up to eight octets as a word, with the bit of lower case in all eight.
const fn folded(text: &[u8]) -> u64 {
    pack(text) | LOWER_CASE
}

/// The user part of a Request-URI, as it is looked up in the set of emergency numbers: its octets, then zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserPart {
    words: [u64; 2],
}

impl UserPart {
    /// No user part. It is not in the set.
    pub(super) const NONE: Self = Self { words: [0; 2] };

    /// The longest user part that can be in the set, in octets.
    pub const MAX_LEN: usize = 15;

    /// A user part as an operator writes it. `None` if it is empty, too long, or has an octet that ends a user part.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty()
            || text.len() > Self::MAX_LEN
            || text.bytes().any(|octet| !octet.is_ascii_graphic() || ends_user(octet))
        {
            return None;
        }
        let mut octets = [0; 16];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        let (low, high) = octets.split_at(8);
        let word = |octets: &[u8]| octets.first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
        Some(Self { words: [word(low), word(high)] })
    }

    /// The bits that `users` have, all of them together.
    pub fn combined_bits(users: impl IntoIterator<Item = Self>) -> [u64; 2] {
        users.into_iter().fold([0; 2], |[low, high], user| [low | user.words[0], high | user.words[1]])
    }

    /// Whether it has no other bits than `bits`, those of [`Self::combined_bits`] some others. A number of three digits has none in its fourth octet, so that of the numbers
    /// that are called hardly any has only bits of those.
    #[inline(always)]
    pub const fn has_only_bits(&self, bits: [u64; 2]) -> bool {
        self.words[0] & !bits[0] | self.words[1] & !bits[1] == 0
    }

    /// The user part at the beginning of two words: up to the octet that ends it. Without one in the first 16 octets, it
    /// is longer than any in the set, and what is returned is in none.
    #[inline(always)]
    pub(super) fn parse(words: [u64; 2]) -> Self {
        let low = words[0];
        let end = user_end(low);
        if end < 8 {
            return Self { words: [low & ((1 << (8 * end)) - 1), 0] };
        }
        let high = words[1];
        let end = user_end(high);
        if end < 8 {
            return Self { words: [low, high & ((1 << (8 * end)) - 1)] };
        }
        Self::NONE
    }
}

/// The index of the first octet of `word` that ends a user part, 8 if none does.
#[inline(always)]
fn user_end(word: u64) -> u8 {
    // `:` and `;` differ in the lowest bit.
    let found = marks_equal(word, repeat(b'@'))
        | marks_equal(word & repeat(!1), repeat(b':'))
        | marks_equal(word, repeat(b' '));
    if found == 0 { 8 } else { first_marked(found) }
}

/// `@` ends it, `:` before a password, `;` before a parameter, and a space the whole URI (RFC 3261 section 25.1, RFC 3966).
#[inline(always)]
const fn ends_user(octet: u8) -> bool {
    matches!(octet, b'@' | b':' | b';' | b' ')
}
