//! Events that have happened on this host and that the database has no record of yet.

/// Reason for an end of maintenance that was planned.
pub(super) const PLANNED_END: &str = "planned end";

/// An event that the database has no record of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PendingEvent {
    /// The row of the flag was changed from outside (SQL, Kamailio).
    SwitchedOutside,
    /// Maintenance has ended as planned.
    PlannedEnd,
}
