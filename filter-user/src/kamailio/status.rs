//! What is known of Kamailio.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::Definition;
use super::{Error, Target};
use crate::domain::{Alarm, Alarms, Subject};

/// Whether Kamailio does as we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not asked yet.
    Starting,
    /// It has the flag that is in force here.
    InStep,
    /// It cannot be told, or not be asked.
    Away,
}

/// What is known of Kamailio, as `status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its socket.
    pub socket: PathBuf,
    /// The htable with the flag.
    pub htable: String,
    /// Whether it does as we do.
    pub state: State,
    /// Since when `state` is what it is.
    pub since: Timestamp,
    /// The flag that it had when it last answered; `None`: it never did.
    pub maintenance: Option<bool>,
    /// Why it is away.
    pub error: Option<String>,
    /// The table that it reads the htable from; empty for none, `None` if it never said.
    pub dbtable: Option<String>,
    /// Whether it writes that table when it stops (1); `None` if it never said.
    pub dbmode: Option<i64>,
    /// What is wrong.
    #[serde(skip)]
    pub alarms: Alarms,
    /// The last wish that was tried to be met, met or not.
    #[serde(skip)]
    pub(super) tried: u64,
    /// Failures in a row.
    #[serde(skip)]
    failures: u32,
}

impl Status {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            socket: target.socket.path().into(),
            htable: target.htable.as_str().into(),
            state: State::Starting,
            since: Timestamp::now(),
            maintenance: None,
            error: None,
            dbtable: None,
            dbmode: None,
            alarms: Alarms::default(),
            tried: 0,
            failures: 0,
        }
    }

    /// It has the flag, and has the table so.
    pub(super) fn succeeded(&mut self, on: bool, definition: Definition) {
        self.failures = 0;
        self.error = None;
        self.maintenance = Some(on);
        self.enter(State::InStep);
        let rewrites = definition.dbmode != 0 && !definition.dbtable.is_empty();
        let (htable, table) = (self.htable.clone(), definition.dbtable.clone());
        self.alarms.set(Subject::Kamailio, rewrites.then_some(Alarm::KamailioRewrites { htable, table }));
        self.dbtable = Some(definition.dbtable);
        self.dbmode = Some(definition.dbmode);
    }

    /// It could not be told to be `on`, or could not be asked whether it is.
    pub(super) fn failed(&mut self, on: bool, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        // One look without an answer, of a Kamailio that has what it should have, is not worth an alarm.
        if self.maintenance == Some(on) && self.failures < 2 {
            return;
        }
        self.enter(State::Away);
        self.error = Some(error.to_string());
        let socket = self.socket.display().to_string();
        self.alarms.set(Subject::Kamailio, [Alarm::Kamailio { socket, error: error.to_string() }]);
    }

    fn enter(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.since = Timestamp::now();
        }
    }
}
