//! The state in which a daemon comes up.

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Source;
use super::keeper::Keeper;
use super::state_file::{State, StateFile};
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::domain::{Alarm, Alarms, Policy, Subject, TagSecret};
use crate::store::{self, IfMissing, Recovery, Store};

impl Keeper {
    /// Finds out what is to be in force at the start: the database's word, else the state file's, else off.
    ///
    /// Fails only where a person has to decide: the schema is of another version, or there are no random numbers
    /// for the cluster's tag.
    pub async fn prepare(settings: &Settings, interfaces: &[String]) -> Result<Self, StartError> {
        let file = StateFile::new(settings.state_file.clone());
        let mut alarms = Alarms::default();
        let saved = load(&file, &mut alarms);

        // With maintenance on, a database that is gone is an outage; else it is the first run.
        let on = saved.as_ref().is_some_and(|state| state.policy.maintenance);
        let missing = if on { IfMissing::Fail } else { IfMissing::Create };
        let source = if saved.is_some() { Source::StateFile } else { Source::Default };
        let state = match saved.clone() {
            Some(mut state) => {
                state.policy.end_as_planned(Timestamp::now());
                state
            }
            None => State { policy: Policy::default(), since: None, last_event: None, tag: generate_tag()? },
        };
        let mut keeper = Self {
            settings: settings.clone(),
            interfaces: interfaces.join(","),
            file,
            saved,
            state,
            alarms,
            source,
            store: None,
            missing,
            read: None,
            own_flag: false,
            last_event: 0,
            applied: Timestamp::now(),
            untold: None,
            due: true,
            told: Instant::now(),
            news: Instant::now(),
            doubt: None,
            backoff: Backoff::default(),
        };
        keeper.first_reading().await?;
        Ok(keeper)
    }

    async fn first_reading(&mut self) -> Result<(), StartError> {
        match self.open_and_adopt_tag().await {
            Ok(reading) => {
                let meaning = reading.interpret(&self.settings.node, &self.state.policy);
                self.untold = self.take_over(reading, meaning);
                self.save().await;
                self.tell().await;
            }
            Err(error) if error.recovery() == Recovery::GiveUp => {
                return Err(StartError::Schema { database: self.settings.database.display().to_string(), error });
            }
            Err(error) => {
                self.lost(&error).await;
                warn!("starting with {} from {}", self.state.policy, self.source_text());
            }
        }
        Ok(())
    }

    /// Only at the start: afterwards the responders answer with the tag that they have.
    async fn open_and_adopt_tag(&mut self) -> Result<store::Reading, store::Error> {
        let Settings { database, table, node, .. } = &self.settings;
        let (mut store, steps) = Store::open(database, table, node, self.missing).await?;
        steps.iter().for_each(|step| info!("database: {step}"));
        self.state.tag = store.tag(&self.state.tag).await?;
        let reading = store.read().await?;
        self.store = Some(store);
        self.missing = IfMissing::Fail;
        Ok(reading)
    }

    fn source_text(&self) -> String {
        match self.source {
            Source::Database => "the database".into(),
            Source::StateFile => format!("the state file {}", self.file.path().display()),
            Source::Default => "the default, for there is no state file".into(),
        }
    }
}

fn load(file: &StateFile, alarms: &mut Alarms) -> Option<State> {
    file.load().unwrap_or_else(|error| {
        let path = file.path().display().to_string();
        alarms.set(Subject::StateFile, [Alarm::StateFile { path, error: error.to_string() }]);
        None
    })
}

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another version's database.
    #[error("database {database}: {error}")]
    Schema {
        /// Its URL, without password.
        database: String,
        /// What is wrong with it.
        error: store::Error,
    },
    /// The system gives no random numbers.
    #[error("cannot make a To tag: {0}")]
    Random(#[from] getrandom::Error),
}

/// Generates a To tag for a cluster that has none, from the system's random numbers.
fn generate_tag() -> Result<TagSecret, getrandom::Error> {
    let mut random = [0; 24];
    getrandom::fill(&mut random)?;
    Ok(TagSecret::from_random(&random))
}
