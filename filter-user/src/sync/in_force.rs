//! The policy in force on this host, with its history and its copy in the state file.

use std::sync::Arc;
use std::time::Duration;

use filter_reply::TagSecret;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::Source;
use super::pending::{PLANNED_END, PendingEvent};
use super::state_file::{State, StateFile};
use crate::domain::{Action, Alarm, Alarms, Event, NodeName, Policy, Since, Subject};
use crate::store::{Interpretation, Reading};

/// Time for which a flag that has vanished while it was on counts as on. Kamailio with `dbmode=1` deletes all rows when
/// it stops, and writes them again one by one.
const FLAG_GRACE: Duration = Duration::from_secs(1);

/// The policy in force, with its origin and the contents of the state file.
pub(super) struct InForce {
    node: NodeName,
    file: StateFile,
    /// Contents of the state file; `None` if there is none, or if they are unknown.
    saved: Option<State>,
    state: State,
    source: Source,
    /// True if the flag is this host's own, of the row `maint@NODE`.
    own_flag: bool,
    /// Time at which the row of the flag was found missing, although maintenance is on.
    flag_missing_since: Option<Instant>,
}

/// A state that is to be adopted once its policy is in force.
pub(super) struct Proposal {
    state: State,
    own_flag: bool,
    states_flag: bool,
    alarms: Vec<Alarm>,
    last_event: i64,
    pending: Option<PendingEvent>,
}

impl Proposal {
    /// Returns the state.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Returns the number of the last event of any kind in the database.
    pub(super) fn last_event(&self) -> i64 {
        self.last_event
    }

    /// Returns the event that still has to be recorded in the database, if any.
    pub(super) fn pending(&self) -> Option<PendingEvent> {
        self.pending
    }
}

impl InForce {
    /// Restores the state from `file`, or creates the default one with `new_tag` if there is none. A file that cannot
    /// be read raises an alarm, and counts as missing.
    pub(super) fn restore<E>(
        node: NodeName,
        file: StateFile,
        new_tag: impl FnOnce() -> Result<TagSecret, E>,
        alarms: &mut Alarms,
    ) -> Result<Self, E> {
        let saved = file.load().unwrap_or_else(|error| {
            alarms.set(Subject::StateFile, [file_alarm(&file, error)]);
            None
        });
        let source = if saved.is_some() { Source::StateFile } else { Source::Default };
        let mut state = match saved.clone() {
            Some(state) => state,
            None => State { policy: Arc::default(), since: None, last_event: None, tag: new_tag()? },
        };
        Arc::make_mut(&mut state.policy).end_as_planned(Timestamp::now());
        Ok(Self { node, file, saved, state, source, own_flag: false, flag_missing_since: None })
    }

    /// Returns the policy in force.
    pub(super) fn policy(&self) -> &Arc<Policy> {
        &self.state.policy
    }

    /// Returns the last switch: its time, its user and the reason.
    pub(super) fn since(&self) -> Option<&Since> {
        self.state.since.as_ref()
    }

    /// Returns the To tag.
    pub(super) fn tag(&self) -> &TagSecret {
        &self.state.tag
    }

    /// Replaces the To tag, before the responders use it.
    pub(super) fn set_tag(&mut self, tag: TagSecret) {
        self.state.tag = tag;
    }

    /// Returns the origin of the policy.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Returns whether the flag is of the row `maint@NODE`.
    pub(super) fn own_flag(&self) -> bool {
        self.own_flag
    }

    /// Returns whether the state file had maintenance on when the daemon was started.
    pub(super) fn was_on(&self) -> bool {
        self.saved.as_ref().is_some_and(|state| state.policy.maintenance)
    }

    /// Returns the origin of the policy, for people.
    pub(super) fn source_text(&self) -> String {
        match self.source {
            Source::Database => "the database".into(),
            Source::StateFile => format!("the state file {}", self.file.path().display()),
            Source::Default => "the default, without a saved state".into(),
            Source::Unknown => "an unknown origin".into(),
        }
    }

    /// Returns the planned end; `None` if there is none, or if maintenance is off.
    pub(super) fn planned_end(&self) -> Option<Timestamp> {
        self.state.policy.until.filter(|_| self.state.policy.maintenance)
    }

    /// Returns the time until which a flag that has vanished counts as on.
    pub(super) fn flag_grace_end(&self) -> Option<Instant> {
        self.flag_missing_since.map(|since| since + FLAG_GRACE)
    }

    /// Returns the state that follows from `reading`.
    pub(super) fn propose(&self, reading: Reading) -> Proposal {
        let before = &self.state;
        let Interpretation { mut policy, own_flag, states_flag, alarms } =
            reading.interpret(&self.node, &before.policy);
        let is_over = policy.end_as_planned(Timestamp::now());
        let switched_outside = policy.maintenance != before.policy.maintenance
            && new_event(before, &policy, reading.event.as_ref()).is_none();
        let state = State {
            since: since(before, &policy, reading.event.as_ref(), is_over),
            last_event: reading.event.map(|event| event.id),
            tag: before.tag,
            policy: if policy == *before.policy { Arc::clone(&before.policy) } else { Arc::new(policy) },
        };
        let pending = match (is_over, switched_outside) {
            (true, _) => Some(PendingEvent::PlannedEnd),
            (false, true) => Some(PendingEvent::SwitchedOutside),
            (false, false) => None,
        };
        Proposal { state, own_flag, states_flag, alarms, last_event: reading.last_event, pending }
    }

    /// Returns whether to wait before `proposal` is adopted, because it only lacks the row of a flag that was on.
    pub(super) fn awaits_flag(&mut self, proposal: &Proposal) -> bool {
        let is_missing = self.state.policy.maintenance && self.source == Source::Database && !proposal.states_flag;
        match self.flag_grace_end() {
            _ if !is_missing => self.flag_missing_since = None,
            None => {
                warn!(
                    "the row maint is gone while maintenance is on; unless it comes back within a second, maintenance \
                     ends. Kamailio with dbmode=1 deletes all rows of the table when it stops, and writes them again: \
                     if this is the cause, set dbmode=0"
                );
                self.flag_missing_since = Some(Instant::now());
            }
            Some(end) if end <= Instant::now() => {
                self.flag_missing_since = None;
                return false;
            }
            Some(_) => {}
        }
        is_missing
    }

    /// Adopts the proposal of a reading, whose policy is in force.
    pub(super) fn adopt(&mut self, proposal: Proposal, alarms: &mut Alarms) {
        alarms.set(Subject::Rows, proposal.alarms);
        self.state = proposal.state;
        self.own_flag = proposal.own_flag;
        self.source = Source::Database;
        self.flag_missing_since = None;
    }

    /// Returns the state after the planned end of maintenance, if that has come by `now`.
    pub(super) fn propose_planned_end(&self, now: Timestamp) -> Option<State> {
        let mut policy = (*self.state.policy).clone();
        policy.end_as_planned(now).then(|| State {
            policy: Arc::new(policy),
            since: Some(Since { at: now, who: None, why: Some(PLANNED_END.into()) }),
            ..self.state.clone()
        })
    }

    /// Adopts the state after a planned end, whose policy is in force.
    pub(super) fn adopt_planned_end(&mut self, state: State) {
        self.state = state;
    }

    /// Writes the state file if it does not hold the state. A failure is an alarm.
    pub(super) async fn save(&mut self, alarms: &mut Alarms) {
        if self.saved.as_ref() == Some(&self.state) {
            return;
        }
        let (file, state) = (self.file.clone(), self.state.clone());
        let outcome = tokio::task::spawn_blocking(move || file.save(&state)).await;
        let error = match outcome {
            Ok(Ok(())) => {
                self.saved = Some(self.state.clone());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        alarms.set(Subject::StateFile, error.map(|error| file_alarm(&self.file, error)));
    }
}

fn file_alarm(file: &StateFile, error: impl ToString) -> Alarm {
    Alarm::StateFile { path: file.path().display().to_string(), error: error.to_string() }
}

/// Returns the event that switched maintenance as in `policy`, if it is a new one.
fn new_event<'a>(before: &State, policy: &Policy, event: Option<&'a Event>) -> Option<&'a Event> {
    let action = if policy.maintenance { Action::On } else { Action::Off };
    event.filter(|event| Some(event.id) > before.last_event && event.action == action.name())
}

/// Returns the switch that led to `policy`: its time, its user and the reason. Without an event, maintenance was
/// switched from outside, or its planned end has passed (`is_over`).
fn since(before: &State, policy: &Policy, event: Option<&Event>, is_over: bool) -> Option<Since> {
    let changed = policy.maintenance != before.policy.maintenance;
    if !changed && before.since.is_some() {
        return before.since.clone();
    }
    match new_event(before, policy, event) {
        Some(event) => Some(Since { at: event.at, who: event.who(), why: event.why.clone() }),
        None => changed.then(|| Since { at: Timestamp::now(), who: None, why: is_over.then(|| PLANNED_END.into()) }),
    }
}
