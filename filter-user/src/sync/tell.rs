//! What the keeper tells the other hosts by the database: what is in force here, and what no event tells yet.

use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::keeper::{Keeper, PLANNED_END, Untold};
use crate::domain::{Alarm, Channel, NOBODY, Node, NodeReport, Origin, Subject};
use crate::store::{self, Recovery, Store};

/// How long a SQLite database has to have been quiet before we write into it by ourselves. Somebody else's script that
/// writes one statement after the other without a busy timeout would fail with "database is locked", should we have it
/// just then.
const QUIET: Duration = Duration::from_secs(1);

impl Keeper {
    /// Tells what has to be told, if now is the time for it. Whether it was.
    pub(super) async fn heartbeat(&mut self) -> bool {
        let Some(store) = &self.store else { return false };
        let since = self.told.elapsed();
        let quiet = store.is_server() || self.news.elapsed() >= QUIET || since >= 2 * Node::HEARTBEAT;
        let now = quiet && (self.due || since >= Node::HEARTBEAT);
        if now {
            self.tell().await;
        }
        now
    }

    /// Tells what is in force here and that this host is alive, and what no event tells. What cannot be told is an alarm
    /// and nothing worse: the policy is in force all the same.
    pub(super) async fn tell(&mut self) {
        let report = self.node_report();
        let node = &self.settings.node;
        let Some(store) = &mut self.store else { return };
        self.told = Instant::now();
        let told = match self.untold {
            None => Ok(()),
            Some(Untold::Outside) => store.note_changes_from_outside(&origin(Channel::Outside, node.as_str())).await,
            Some(Untold::PlannedEnd) => store.end_as_planned(&origin(Channel::Planned, node.as_str())).await.map(drop),
        };
        let told = match told {
            Ok(()) => {
                self.untold = None;
                store.report(&report, true).await
            }
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => {
                self.due = false;
                self.alarms.set(Subject::Telling, []);
            }
            Err(error) => self.cannot_tell(&error).await,
        }
    }

    /// Tells them that this one stops.
    pub(super) async fn farewell(&mut self) {
        let report = self.node_report();
        if let Some(store) = &mut self.store
            && let Err(error) = store.report(&report, false).await
        {
            debug!("the other hosts cannot be told that this one stops: {error}");
        }
    }

    fn node_report(&self) -> NodeReport {
        NodeReport {
            interfaces: self.interfaces.clone(),
            maintenance: self.state.policy.maintenance,
            state: self.state.policy.to_string(),
            event: self.last_event,
            applied: self.applied,
        }
    }

    async fn cannot_tell(&mut self, error: &store::Error) {
        self.alarms.set(Subject::Telling, [Alarm::Unwritable { error: error.to_string() }]);
        if error.recovery() != Recovery::KeepConnection {
            // A connection that is broken shows at the next reading, which has it opened anew.
            if let Some(store) = self.store.take() {
                Store::close(store).await;
            }
        }
    }
}

fn origin(channel: Channel, node: &str) -> Origin {
    let why = (channel == Channel::Planned).then(|| PLANNED_END.parse().ok()).flatten();
    Origin { actor: NOBODY.into(), why, channel, node: node.into() }
}
