//! The keeper: the one task that reads and writes the database and decides what is in force.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{info, warn};

use super::state_file::{State, StateFile};
use super::{Command, Enforcer, Snapshot, Source, report};
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::dataplane;
use crate::domain::{Action, Alarm, Alarms, Event, Policy, Since, Subject};
use crate::store::{self, IfMissing, Interpretation, Reading, Store};
use filter_reply::TagSecret;

/// For how long a flag that has vanished while it was on is not believed to be gone: Kamailio with `dbmode=1` deletes all
/// rows when it stops and writes them anew, one by one.
const DOUBT: Duration = Duration::from_secs(1);

/// Why maintenance has ended, if it is that.
pub(super) const PLANNED_END: &str = "planned end";

/// How often it is looked whether the other hosts have to be told something.
const HEARTBEAT_LOOK: Duration = Duration::from_secs(1);

/// Keeps the database's word in force.
///
/// All that concerns the policy happens here, one thing after the other, so that a switch, a change from outside and
/// an outage never meet half-way.
pub struct Keeper {
    pub(super) settings: Settings,
    /// The interfaces, as the other hosts are told.
    pub(super) interfaces: String,
    pub(super) file: StateFile,
    /// What the state file holds, as far as we know.
    pub(super) saved: Option<State>,
    /// What is in force.
    pub(super) state: State,
    pub(super) alarms: Alarms,
    pub(super) source: Source,
    /// The open database; `None` while it is down.
    pub(super) store: Option<Store>,
    /// Whether an empty database may be made: only until there has been one.
    pub(super) missing: IfMissing,
    pub(super) read: Option<Timestamp>,
    /// Whether the flag is of the row `maint@NODE`.
    pub(super) own_flag: bool,
    /// The last event of any kind that was seen, and when what it led to was put in force.
    pub(super) last_event: i64,
    pub(super) applied: Timestamp,
    /// What no event tells yet, and whether what is in force has to be told at all.
    pub(super) untold: Option<Untold>,
    pub(super) due: bool,
    /// When the others were last told, and when the database last had news.
    pub(super) told: Instant,
    pub(super) news: Instant,
    /// Until when a flag that has vanished is not believed to be gone.
    pub(super) doubt: Option<Instant>,
    pub(super) backoff: Backoff,
}

impl Keeper {
    /// The policy to start with.
    pub fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// The To tag to start with.
    pub fn tag(&self) -> &TagSecret {
        &self.state.tag
    }

    /// What is in force, and what is wrong.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            policy: self.state.policy.clone(),
            since: self.state.since.clone(),
            source: self.source,
            reachable: self.store.is_some(),
            read: self.read,
            own_flag: self.own_flag,
            alarms: self.alarms.clone(),
        }
    }

    /// Works until it is told to end (or nobody is left who could), or until a policy cannot be put in force.
    pub async fn run(
        mut self,
        mut enforcer: impl Enforcer,
        mut commands: mpsc::Receiver<Command>,
        publish: watch::Sender<Snapshot>,
    ) -> Result<(), dataplane::Error> {
        // A moment and not a pause: whatever else happens meanwhile must not put it off.
        let mut retry = Instant::now();
        let mut heartbeat = interval(HEARTBEAT_LOOK);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let planned = self.state.policy.until.filter(|_| self.state.policy.maintenance);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::End(done)) => {
                        self.farewell().await;
                        let _ = done.send(());
                        break;
                    }
                    Some(command) => self.obey(command, &mut enforcer, &publish).await?,
                    None => break,
                },
                changed = change(&mut self.store, retry) => {
                    self.news = Instant::now();
                    if changed.is_err() {
                        // It may be another file by now. If it is not that, the same error comes again.
                        self.close().await;
                    }
                    // Why it could not be read stands in the alarm.
                    let _ = self.refresh(&mut enforcer, false).await?;
                }
                () = planned_end(planned) => self.end_as_planned(&mut enforcer).await?,
                () = doubt(self.doubt) => drop(self.refresh(&mut enforcer, false).await?),
                // Nothing has changed, and nobody has to hear of it.
                _ = heartbeat.tick() => if !self.heartbeat().await { continue },
            }
            if self.store.is_none() && retry <= Instant::now() {
                retry = Instant::now() + self.backoff.failed();
            }
            publish.send_replace(self.snapshot());
        }
        self.close().await;
        Ok(())
    }

    /// Reads the database and puts in force what it says; with `always` also if that is in force.
    ///
    /// The inner result is the reading's: if it fails, the last known policy holds.
    pub(super) async fn refresh(
        &mut self,
        enforcer: &mut impl Enforcer,
        always: bool,
    ) -> Result<Result<(), store::Error>, dataplane::Error> {
        let reading = match self.reading().await {
            Ok(reading) => reading,
            Err(error) => {
                self.lost(&error).await;
                return Ok(Err(error));
            }
        };
        let meaning = reading.interpret(&self.settings.node, &self.state.policy);
        if !always && self.doubts(meaning.states_flag) {
            return Ok(Ok(()));
        }
        let (before, event) = (self.state.policy.clone(), self.last_event);
        let untold = self.take_over(reading, meaning);
        let changed = self.state.policy != before;
        if always || changed {
            enforcer.apply(self.state.policy.clone()).await?;
            report::in_force(&before, &self.state);
        }
        self.save().await;
        if changed || self.last_event != event || untold.is_some() {
            self.applied = Timestamp::now();
            self.untold = untold.or(self.untold);
            self.due = true;
        }
        // Who has switched it by a command waits for the others; a change from outside is told in a quiet moment.
        if always {
            self.tell().await;
        } else {
            self.heartbeat().await;
        }
        Ok(Ok(()))
    }

    /// Whether to wait before a flag is believed to be gone that was on.
    fn doubts(&mut self, states_flag: bool) -> bool {
        let gone = self.state.policy.maintenance && self.source == Source::Database && !states_flag;
        match self.doubt {
            _ if !gone => self.doubt = None,
            None => {
                warn!(
                    "the row maint is gone while maintenance is on; in a second that is off. Kamailio with dbmode=1 deletes \
                     all rows of the table when it stops and writes them anew: if it is that, set dbmode=0"
                );
                self.doubt = Some(Instant::now() + DOUBT);
            }
            Some(until) if until <= Instant::now() => {
                self.doubt = None;
                return false;
            }
            Some(_) => {}
        }
        gone
    }

    /// Ends maintenance at its planned end, whether the database can be read or not.
    async fn end_as_planned(&mut self, enforcer: &mut impl Enforcer) -> Result<(), dataplane::Error> {
        let before = self.state.policy.clone();
        let now = Timestamp::now();
        if self.state.policy.end_as_planned(now) {
            self.state.since = Some(Since { at: now, who: None, why: Some(PLANNED_END.into()) });
            enforcer.apply(self.state.policy.clone()).await?;
            report::in_force(&before, &self.state);
            self.save().await;
            self.applied = now;
            self.untold = Some(Untold::PlannedEnd);
            self.tell().await;
        }
        Ok(())
    }

    /// A reading of the open database; of one that is opened anew if that fails, since it may be another file by now.
    async fn reading(&mut self) -> Result<Reading, store::Error> {
        if let Some(store) = &mut self.store
            && let Ok(reading) = store.read().await
        {
            return Ok(reading);
        }
        self.open().await?.read().await
    }

    /// Opens the database anew.
    pub(super) async fn open(&mut self) -> Result<&mut Store, store::Error> {
        self.close().await;
        let Settings { database, table, node, .. } = &self.settings;
        let (mut store, steps) = Store::open(database, table, node, self.missing).await?;
        steps.iter().for_each(|step| info!("database: {step}"));
        let same = store.tag(&self.state.tag).await? == self.state.tag;
        self.alarms.set(Subject::Tag, (!same).then_some(Alarm::TagChanged));
        self.missing = IfMissing::Fail;
        Ok(self.store.insert(store))
    }

    pub(super) async fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close().await;
        }
    }

    pub(super) async fn lost(&mut self, error: &store::Error) {
        self.close().await;
        let database = self.settings.database.display().to_string();
        self.alarms.set(Subject::Database, [Alarm::Database { database, error: error.to_string() }]);
    }

    /// Makes a reading the state. What the other hosts have to be told of it, beside that it is in force here.
    pub(super) fn take_over(&mut self, reading: Reading, meaning: Interpretation) -> Option<Untold> {
        let Interpretation { mut policy, own_flag, alarms, .. } = meaning;
        let over = policy.end_as_planned(Timestamp::now());
        self.own_flag = own_flag;
        self.alarms.set(Subject::Rows, alarms);
        self.alarms.set(Subject::Database, []);
        self.backoff.succeeded();
        self.doubt = None;
        let outside = policy.maintenance != self.state.policy.maintenance
            && new_event(&self.state, &policy, reading.event.as_ref()).is_none();
        self.state.since = since(&self.state, &policy, reading.event.as_ref(), over);
        self.state.last_event = reading.event.map(|event| event.id);
        self.last_event = reading.last_event;
        self.state.policy = policy;
        self.source = Source::Database;
        self.read = Some(Timestamp::now());
        match (over, outside) {
            (true, _) => Some(Untold::PlannedEnd),
            (false, true) => Some(Untold::Outside),
            (false, false) => None,
        }
    }

    /// Writes the state file if it does not hold the state.
    pub(super) async fn save(&mut self) {
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
        let path = self.file.path().display().to_string();
        self.alarms.set(Subject::StateFile, error.map(|error| Alarm::StateFile { path, error }));
    }
}

/// What has happened that no event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// The row was changed by other means.
    Outside,
    /// Maintenance has ended by itself.
    PlannedEnd,
}

/// Returns when there may be something new to read: after a change, or, with the database down, at `retry`.
async fn change(store: &mut Option<Store>, retry: Instant) -> Result<(), store::Error> {
    match store {
        Some(store) => store.changed().await,
        None => {
            sleep_until(retry).await;
            Ok(())
        }
    }
}

/// Returns at the planned end of maintenance. The clock is looked at twice a second, since it may be set meanwhile.
async fn planned_end(until: Option<Timestamp>) {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    while let Ok(left) = Duration::try_from(until.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        sleep(left.min(Duration::from_millis(500))).await;
    }
}

/// Returns when a doubt is over.
async fn doubt(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// The event that has made maintenance as `policy` has it, if it is a new one and did just that.
fn new_event<'a>(before: &State, policy: &Policy, event: Option<&'a Event>) -> Option<&'a Event> {
    let action = if policy.maintenance { Action::On } else { Action::Off };
    event.filter(|event| Some(event.id) > before.last_event && event.action == action.name())
}

/// Since when maintenance is as `policy` has it, and who did it. Without an event the row was changed by other means, or
/// the planned end is `over`.
fn since(before: &State, policy: &Policy, event: Option<&Event>, over: bool) -> Option<Since> {
    let changed = policy.maintenance != before.policy.maintenance;
    if !changed && before.since.is_some() {
        return before.since.clone();
    }
    match new_event(before, policy, event) {
        Some(event) => Some(Since { at: event.at, who: event.who(), why: event.why.clone() }),
        None => changed.then(|| Since { at: Timestamp::now(), who: None, why: over.then(|| PLANNED_END.into()) }),
    }
}
