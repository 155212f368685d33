//! Status of the local Kamailio.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::Definition;
use super::{Error, Target};
use crate::domain::{Alarm, Alarms, Subject};

/// State of Kamailio's flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Kamailio has not been asked yet.
    Starting,
    /// Kamailio has the flag that is in force on this host.
    InStep,
    /// Kamailio cannot be reached, or rejects the flag.
    Away,
    /// A state that a daemon of a later version reports.
    #[serde(other)]
    Unknown,
}

/// Status of Kamailio, as `sip-filter status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Path of its socket.
    pub socket: PathBuf,
    /// Name of the htable with the flag.
    pub htable: String,
    /// State of the flag.
    pub state: State,
    /// Time of the last change of `state`.
    pub since: Timestamp,
    /// The flag at Kamailio's last reply; `None` before the first.
    pub maintenance: Option<bool>,
    /// Reason for [`State::Away`].
    pub error: Option<String>,
    /// Database table from which Kamailio reads the htable; empty for none, `None` before its first reply.
    pub dbtable: Option<String>,
    /// 1 if Kamailio writes that table when it stops; `None` before its first reply.
    pub dbmode: Option<i64>,
    /// Alarms about Kamailio.
    #[serde(skip)]
    pub alarms: Alarms,
    /// Number of the last request for which the flag was set, successfully or not.
    #[serde(skip)]
    pub(super) attempted: u64,
    /// Failures since the last success.
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
            attempted: 0,
            failures: 0,
        }
    }

    /// Records that nothing is known of the flag: the sync starts, perhaps not for the first time.
    pub(super) fn start(&mut self) {
        self.enter(State::Starting);
        self.maintenance = None;
        self.failures = 0;
    }

    /// Records that Kamailio has the flag `on`, in an htable with this definition.
    pub(super) fn succeed(&mut self, on: bool, definition: Definition) {
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

    /// Records that the flag could not be set to `on`, or could not be read.
    pub(super) fn fail(&mut self, on: bool, error: &Error) {
        self.failures = self.failures.saturating_add(1);
        // If Kamailio has the right flag, a single check without a reply is not worth an alarm.
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
