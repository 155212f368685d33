//! Exemptions of new requests: emergencies, and requests that replace or join an established call.
//!
//! Odd spellings tend to exempt: only the beginning of a value is compared, and the lower-case bit of every byte is
//! ignored.

use crate::words::{LOWER_CASE, mask, pack};

/// A header by its effect on the scan.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A header that exempts no request.
    Other,
    /// `Priority` (RFC 3261 section 20.26), which exempts by its value.
    Priority,
    /// `Resource-Priority` (RFC 4412), which exempts by its values.
    ResourcePriority,
    /// `Replaces` (RFC 3891) or `Join` (RFC 3911), which exempts by its presence.
    Replaces,
}

impl Header {
    /// Returns the header whose name begins with `word` and `next`, and the length of its name.
    #[inline(always)]
    pub(super) const fn from_name(word: u64, next: u64) -> (Self, u8) {
        if begins_with(word, b"priority") {
            (Self::Priority, 8)
        } else if begins_with(word, b"replaces") {
            (Self::Replaces, 8)
        } else if begins_with(word, b"join") {
            (Self::Replaces, 4)
        } else if begins_with(word, b"resource") && begins_with(next, b"-priorit") {
            (Self::ResourcePriority, 17)
        } else {
            (Self::Other, 0)
        }
    }
}

/// Returns whether a value of `Priority` exempts: `emergency` (RFC 3261) or `psap-callback` (RFC 7090).
#[inline(always)]
pub(super) const fn is_urgent(word: u64) -> bool {
    begins_with(word, b"emergenc") || begins_with(word, b"psap-cal")
}

/// Returns whether a value of `Resource-Priority` exempts: one in the namespace `ets` or `wps` (RFC 4412 section 12.6),
/// or `esnet` (RFC 7135).
#[inline(always)]
pub(super) const fn is_in_namespace(word: u64) -> bool {
    begins_with(word, b"ets.") || begins_with(word, b"wps.") || begins_with(word, b"esnet.")
}

/// Returns whether a Request-URI is the URN of the emergency service, `urn:service:sos`, or below it (RFC 5031).
#[inline(always)]
pub(super) const fn is_emergency_urn(word: u64, next: u64) -> bool {
    begins_with(word, b"urn:serv") && begins_with(next, b"ice:sos")
}

/// Returns the length of a Request-URI's scheme with its colon, or 0 if the scheme has no user part (not `sip`, `sips`,
/// `tel`).
#[inline(always)]
pub(super) const fn scheme_len(word: u64) -> u32 {
    if begins_with(word, b"sip:") || begins_with(word, b"tel:") {
        4
    } else if begins_with(word, b"sips:") {
        5
    } else {
        0
    }
}

/// Returns whether `word` begins with `text`, which has at most eight bytes. The lower-case bit of every byte is
/// ignored.
#[inline(always)]
const fn begins_with(word: u64, text: &[u8]) -> bool {
    (word | LOWER_CASE) & mask(text.len()) == (pack(text) | LOWER_CASE) & mask(text.len())
}
