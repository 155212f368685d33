//! Times in a form for people.

use std::fmt::Display;

use jiff::Timestamp;

/// Formats a time for people, in UTC to the second: `2026-11-24 14:00:00 UTC`.
pub fn display_utc(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}
