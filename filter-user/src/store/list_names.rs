//! The names of the lists in statements, events and errors.

use crate::domain::EntryList;

/// The names of a list.
pub(super) struct ListNames {
    /// Table of the list.
    pub(super) table: &'static str,
    /// Column that holds the entries.
    pub(super) column: &'static str,
    /// Member that holds the entries in the `written` of an event.
    pub(super) member: &'static str,
    /// The reading of the table, as an error names it.
    pub(super) reading: &'static str,
    /// The writing of the table, as an error names it.
    pub(super) writing: &'static str,
}

macro_rules! names {
    ($table:literal, $column:literal, $member:literal) => {
        ListNames {
            table: $table,
            column: $column,
            member: $member,
            reading: concat!("read the table ", $table),
            writing: concat!("write the table ", $table),
        }
    };
}

impl ListNames {
    /// Returns the names of `list`.
    pub(super) const fn of(list: EntryList) -> Self {
        match list {
            EntryList::Bypass => names!("sip_filter_bypass", "prefix", "prefix"),
            EntryList::Emergency => names!("sip_filter_emergency", "user_part", "user_part"),
            EntryList::ScopeSource => names!("sip_filter_scope_source", "prefix", "source"),
            EntryList::ScopeDestination => names!("sip_filter_scope_destination", "address", "destination"),
        }
    }
}
