//! What the keeper tells the other hosts by the database: what is in force here, and what no event tells yet.

use tracing::debug;

use super::keeper::{Keeper, PLANNED_END, Untold};
use crate::alarm::{Alarm, Subject};
use crate::store::{self, NOBODY, NodeReport, Origin, Store, Via};

impl Keeper {
    /// Tells what is in force, and what no event tells. What cannot be told is an alarm and nothing worse: the policy is in
    /// force all the same.
    pub(super) async fn tell(&mut self, untold: Option<Untold>) {
        let Some(store) = &mut self.store else { return };
        let node = &self.settings.node;
        let told = match untold {
            None => Ok(()),
            Some(Untold::Outside) => store.note_changes_from_outside(&origin(Via::Outside, node.as_str())).await,
            Some(Untold::PlannedEnd) => store.end_as_planned(&origin(Via::Planned, node.as_str())).await.map(drop),
        };
        match told {
            Ok(()) => self.report().await,
            Err(error) => self.untold(&error).await,
        }
    }

    /// Tells the other hosts what is in force here, and that this one is alive.
    pub(super) async fn report(&mut self) {
        let report = self.node_report();
        let Some(store) = &mut self.store else { return };
        match store.report(&report, true).await {
            Ok(()) => self.alarms.set(Subject::Telling, []),
            Err(error) => self.untold(&error).await,
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

    async fn untold(&mut self, error: &store::Error) {
        self.alarms.set(Subject::Telling, [Alarm::Unwritable { error: error.to_string() }]);
        if !error.is_answer() {
            // A connection that is broken shows at the next reading, which has it opened anew.
            if let Some(store) = self.store.take() {
                Store::close(store).await;
            }
        }
    }
}

fn origin(via: Via, node: &str) -> Origin {
    let why = (via == Via::Planned).then(|| PLANNED_END.to_owned());
    Origin { actor: NOBODY.into(), why, via, node: node.into() }
}
