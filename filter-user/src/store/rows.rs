//! The rows of the policy table: their keys, and the value of a key, read as Kamailio reads it.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;

use crate::domain::{Action, Alarm, NodeName, Switch, parse_planned_end};

/// Key of the flag: `1` is on.
pub const MAINT: &str = "maint";
/// Key of the status code.
pub(super) const MAINT_CODE: &str = "maint_code";
/// Key of the reason phrase.
pub(super) const MAINT_REASON: &str = "maint_reason";
/// Key of `Retry-After`, in seconds.
pub(super) const MAINT_RETRY_AFTER: &str = "maint_retry_after";
/// Key of the share of new calls that is refused, in percent.
pub(super) const MAINT_PERCENT: &str = "maint_percent";
/// Key of the methods that are refused.
pub(super) const MAINT_METHODS: &str = "maint_methods";
/// Key of the planned end of maintenance, in seconds of Unix time.
pub(super) const MAINT_UNTIL: &str = "maint_until";

/// A row of the policy table, Kamailio's htable.
///
/// Texts are as the database holds them, because they are compared here and not in SQL: `WHERE key_name='maint'` also
/// matches `Maint` and `maint ` in MySQL. Invalid UTF-8 is U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `key_name`.
    pub key: String,
    /// `key_type`: 0 for a plain key, 1 for an array.
    pub key_type: i64,
    /// `value_type`: 0 for a string, 1 for an integer.
    pub value_type: i64,
    /// `key_value`; `None` for NULL.
    pub value: Option<String>,
}

/// Returns `maint@NODE`, the key of the flag of one host, which wins over `maint`.
pub(super) fn node_key(node: &NodeName) -> String {
    format!("{MAINT}@{node}")
}

/// Returns the keys of all hosts that have a flag of their own.
pub(super) fn node_keys(rows: &[Row]) -> impl Iterator<Item = &str> {
    let is_node_key = |key: &&str| key.strip_prefix(MAINT).is_some_and(|rest| rest.starts_with('@'));
    rows.iter().map(|row| row.key.as_str()).filter(is_node_key)
}

/// Returns the rows that a switch writes: `key_name` and `key_value`.
pub fn to_write(switch: &Switch) -> Vec<(String, String)> {
    let flag = match switch.action {
        Action::On => "1",
        Action::Off => "0",
    };
    let flag_key = switch.hosts.node().map_or_else(|| MAINT.to_owned(), node_key);
    let mut rows = vec![(flag_key, flag.to_owned())];
    let mut row = |key: &str, value: Option<String>| rows.extend(value.map(|value| (key.to_owned(), value)));
    row(MAINT_CODE, switch.code.map(|code| code.to_string()));
    row(MAINT_REASON, switch.reason.as_ref().map(ToString::to_string));
    row(MAINT_RETRY_AFTER, switch.retry_after.map(|seconds| seconds.to_string()));
    row(MAINT_PERCENT, switch.percent.map(|percent| percent.to_string()));
    row(MAINT_METHODS, switch.methods.map(|methods| methods.to_string()));
    row(MAINT_UNTIL, switch.until.map(|until| until.as_second().to_string()));
    rows
}

/// The value of a key, as the rows state it.
#[derive(Debug)]
pub(super) enum Stated<T> {
    /// The key has no row.
    Missing,
    /// The key has one row, and its value is valid.
    Value(T),
    /// The key has rows, but no single valid value.
    Unusable(Alarm),
}

impl<T> Stated<T> {
    /// Returns the value, `default` without a row, or `last` if the rows cannot be used, which raises the alarm.
    pub(super) fn resolve(self, default: T, last: T, alarms: &mut Vec<Alarm>) -> T {
        match self {
            Self::Missing => default,
            Self::Value(value) => value,
            Self::Unusable(alarm) => {
                alarms.push(alarm);
                last
            }
        }
    }
}

/// Returns the flag of `key`.
pub(super) fn flag(rows: &[Row], key: &str) -> Stated<bool> {
    stated(rows, key, |row, value| Ok::<_, Infallible>(is_on(row.value_type, value)))
}

/// Returns the planned end of maintenance; `None` within [`Stated::Value`] if a row says that there is none.
pub(super) fn planned_end(rows: &[Row]) -> Stated<Option<Timestamp>> {
    stated(rows, MAINT_UNTIL, |_, value| parse_planned_end(value))
}

/// Returns the value of `key`, parsed.
pub(super) fn parsed<T: FromStr<Err: Display>>(rows: &[Row], key: &str) -> Stated<T> {
    stated(rows, key, |_, value| value.parse())
}

fn stated<T, E: Display>(rows: &[Row], key: &str, parse: impl Fn(&Row, &str) -> Result<T, E>) -> Stated<T> {
    let mut rows = rows.iter().filter(|row| row.key == key);
    let Some(row) = rows.next() else { return Stated::Missing };
    let others = rows.count();
    if others > 0 {
        // Kamailio takes the row that the database returns last, which may be any of them.
        return Stated::Unusable(Alarm::Duplicate { key: key.into(), rows: others + 1 });
    }
    if row.key_type != 0 {
        return Stated::Unusable(Alarm::ArrayRow { key: key.into() });
    }
    let expected = match row.value.as_deref().map(|value| parse(row, value)) {
        Some(Ok(value)) => return Stated::Value(value),
        Some(Err(error)) => error.to_string(),
        None => "a value is needed".into(),
    };
    Stated::Unusable(Alarm::BadValue { key: key.into(), value: row.value.clone(), expected })
}

/// Returns whether `$sht(config=>maint)=="1"` is true in Kamailio.
fn is_on(value_type: i64, value: &str) -> bool {
    match value_type {
        0 => value == "1",
        1 => kamailio_integer(value) == 1,
        // Kamailio stores the string and marks it as an integer: its value is part of a pointer (ht_db.c,
        // ht_db_load_table()).
        _ => false,
    }
}

/// Converts a value to an integer as Kamailio does: `str2sint()` (core/ut.h), whose error `ht_db_load_table()` ignores.
/// The digits before the first other byte therefore count, and the sign counts only if all bytes after it are digits.
fn kamailio_integer(value: &str) -> i32 {
    let (sign, digits) = match value.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    let mut number = 0_i32;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return number;
        }
        number = number.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
    }
    number.wrapping_mul(sign)
}
