//! The state in which a daemon starts.

use tracing::warn;

use super::database::Database;
use super::error::StartError;
use super::in_force::InForce;
use super::peers::Peers;
use super::state_file::StateFile;
use crate::config::Settings;
use crate::domain::{Alarms, TagSecret};
use crate::store::{self, IfMissing, Reading, Recovery};

/// The parts of a keeper.
pub(super) struct Parts {
    pub(super) database: Database,
    pub(super) in_force: InForce,
    pub(super) peers: Peers,
    pub(super) alarms: Alarms,
}

impl Parts {
    /// Prepares the parts. See [`Keeper::prepare`](super::Keeper::prepare).
    pub(super) async fn prepare(settings: &Settings, interfaces: &[String]) -> Result<Self, StartError> {
        let mut alarms = Alarms::default();
        let file = StateFile::new(settings.state_file.clone());
        let in_force = InForce::restore(settings.node.clone(), file, generate_tag, &mut alarms)?;
        // If maintenance was on, a missing database is an outage. Otherwise this is the first run.
        let if_missing = if in_force.was_on() { IfMissing::Fail } else { IfMissing::Create };
        let database = Database::new(settings, *in_force.tag(), if_missing);
        let peers = Peers::new(settings.node.clone(), interfaces);
        let mut parts = Self { database, in_force, peers, alarms };
        match parts.read_first().await {
            Ok(reading) => parts.adopt_first(reading).await,
            Err(error) if error.recovery() == Recovery::GiveUp => {
                return Err(StartError::Schema { database: parts.database.display_url(), source: error });
            }
            Err(error) => {
                parts.database.lost(&error, &mut parts.alarms).await;
                warn!("starting with {} from {}", parts.in_force.policy(), parts.in_force.source_text());
            }
        }
        Ok(parts)
    }

    async fn read_first(&mut self) -> Result<Reading, store::Error> {
        self.database.open_first().await?;
        self.in_force.set_tag(*self.database.tag());
        self.database.read(&mut self.alarms).await
    }

    /// Adopts the first reading. The data plane starts with its policy.
    async fn adopt_first(&mut self, reading: Reading) {
        let proposal = self.in_force.propose(reading);
        self.peers.note_applied(proposal.last_event(), true, proposal.pending());
        self.in_force.adopt(proposal, &mut self.alarms);
        self.database.read_adopted(&mut self.alarms);
        self.in_force.save(&mut self.alarms).await;
        self.peers.report(&mut self.database, self.in_force.policy(), &mut self.alarms).await;
    }
}

/// Generates a To tag for a cluster that has none, from the system's random numbers.
fn generate_tag() -> Result<TagSecret, getrandom::Error> {
    let mut random = [0; 24];
    getrandom::fill(&mut random)?;
    Ok(TagSecret::from_random(&random))
}
