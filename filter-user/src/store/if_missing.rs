//! The choice between creating what is missing in a database, and failing.

/// The behaviour of [`Store::open`](super::Store::open) if the database file or the policy table does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Create it, empty: without rows, maintenance is off.
    Create,
    /// Fail: while maintenance is on, an empty database would end it.
    Fail,
}
