//! Reports to the other hosts, through the database: the policy in force on this host, and events that no host has
//! recorded yet.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::debug;

use super::database::Database;
use super::pending::{PLANNED_END, PendingEvent};
use crate::domain::{Alarm, Alarms, Channel, NOBODY, Node, NodeName, NodeReport, Origin, Policy, Subject};
use crate::store::{self, Recovery, Store};

/// Age of the last report at which the next one no longer waits for a quiet moment.
const OVERDUE: Duration = Node::HEARTBEAT.saturating_mul(2);

/// The reports to the other hosts: the time of the last one, and the contents of the next.
pub(super) struct Peers {
    node: NodeName,
    /// Names of the interfaces, separated by commas.
    interfaces: String,
    /// Number of the last event of any kind that was seen.
    last_event: i64,
    /// Time at which the policy that was read with this event was put in force.
    applied: Timestamp,
    pending: Option<PendingEvent>,
    report_due: bool,
    last_report: Instant,
}

impl Peers {
    /// Creates the state in which the first report is due.
    pub(super) fn new(node: NodeName, interfaces: &[String]) -> Self {
        Self {
            node,
            interfaces: interfaces.join(","),
            last_event: 0,
            applied: Timestamp::now(),
            pending: None,
            report_due: true,
            last_report: Instant::now(),
        }
    }

    /// Notes that a policy is in force that was read with `last_event` as the last event. A report is due if anything
    /// is new: that event, the policy (`changed`), or an event to be recorded.
    pub(super) fn note_applied(&mut self, last_event: i64, changed: bool, pending: Option<PendingEvent>) {
        if changed || last_event != self.last_event || pending.is_some() {
            self.applied = Timestamp::now();
            self.pending = pending.or(self.pending);
            self.report_due = true;
        }
        self.last_event = last_event;
    }

    /// Notes that maintenance has ended as planned.
    pub(super) fn note_planned_end(&mut self) {
        self.note_applied(self.last_event, true, Some(PendingEvent::PlannedEnd));
    }

    /// Returns whether to report now: there is news, or a heartbeat is due, and the database is open and quiet.
    pub(super) fn is_due(&self, database: &Database) -> bool {
        let age = self.last_report.elapsed();
        let is_convenient = database.is_quiet() || age >= OVERDUE;
        database.is_open() && is_convenient && (self.report_due || age >= Node::HEARTBEAT)
    }

    /// Records the pending event, and reports that this host is alive with `policy` in force.
    ///
    /// A failure only raises an alarm, since the policy is in force anyway.
    pub(super) async fn report(&mut self, database: &mut Database, policy: &Policy, alarms: &mut Alarms) {
        let Some(store) = database.store() else { return };
        self.last_report = Instant::now();
        match self.try_report(store, policy).await {
            Ok(()) => {
                self.report_due = false;
                alarms.set(Subject::Reports, []);
            }
            Err(error) => {
                alarms.set(Subject::Reports, [Alarm::Unwritable { error: error.to_string() }]);
                if error.recovery() != Recovery::KeepConnection {
                    // The connection is broken. The next reading opens the database again, or raises the alarm.
                    database.close().await;
                }
            }
        }
    }

    /// Reports that the daemon of this host stops.
    pub(super) async fn report_stopping(&self, database: &mut Database, policy: &Policy) {
        if let Some(store) = database.store()
            && let Err(error) = store.report(&self.node_report(policy), false).await
        {
            debug!("cannot report to the other hosts that this one stops: {error}");
        }
    }

    async fn try_report(&mut self, store: &mut Store, policy: &Policy) -> Result<(), store::Error> {
        match self.pending {
            None => {}
            Some(PendingEvent::SwitchedOutside) => {
                store.note_changes_from_outside(&self.origin(Channel::Outside)).await?;
            }
            Some(PendingEvent::PlannedEnd) => {
                store.end_as_planned(&self.origin(Channel::Planned)).await?;
            }
        }
        self.pending = None;
        store.report(&self.node_report(policy), true).await
    }

    fn node_report(&self, policy: &Policy) -> NodeReport {
        NodeReport {
            interfaces: self.interfaces.clone(),
            maintenance: policy.maintenance,
            state: policy.to_string(),
            event: self.last_event,
            applied: self.applied,
        }
    }

    fn origin(&self, channel: Channel) -> Origin {
        let why = (channel == Channel::Planned).then(|| PLANNED_END.parse().ok()).flatten();
        Origin { actor: NOBODY.into(), why, channel, node: self.node.as_str().into() }
    }
}
