//! The keeper: the one task that reads and writes the database, and decides which policy is in force.

use std::sync::Arc;
use std::time::Duration;

use filter_reply::TagSecret;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::command::{History, Nodes, StoreOp};
use super::database::Database;
use super::in_force::InForce;
use super::peers::Peers;
use super::start::Parts;
use super::state_file::State;
use super::{Command, Enforcer, Error, NotInForce, Reply, Snapshot, StartError, report};
use crate::config::Settings;
use crate::domain::{Alarms, Policy};
use crate::store::{self, Recovery};

/// Interval at which the keeper checks whether a report to the other hosts is due.
const REPORT_CHECK: Duration = Duration::from_secs(1);

/// Keeps the policy of the database in force.
///
/// Everything that concerns the policy happens in this one task, one step after the other, so that a switch, a change
/// from outside and an outage never overlap.
pub struct Keeper {
    database: Database,
    in_force: InForce,
    peers: Peers,
    alarms: Alarms,
}

/// The reason for reading the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// A command: the rows are applied even if they have not changed, a flag that has vanished is off at once, and the
    /// other hosts get a report at once.
    Command,
    /// A possible change: the rows are applied only if they have changed, a flag that has vanished may come back, and
    /// the report waits for a quiet moment.
    Watch,
}

/// The outcome of reading the database.
#[derive(Debug)]
enum Outcome {
    /// The rows were read. They are in force, or the keeper waits for the flag to come back.
    Read,
    /// The rows could not be read. The last known policy stays in force.
    Unreadable(store::Error),
}

impl Keeper {
    /// Prepares the start of the daemon with the policy of the database, otherwise that of the state file, otherwise
    /// with maintenance off.
    ///
    /// # Errors
    ///
    /// Fails only if an operator has to act: the schema is of another version, or there are no random numbers for the
    /// cluster's To tag.
    pub async fn prepare(settings: &Settings, interfaces: &[String]) -> Result<Self, StartError> {
        let Parts { database, in_force, peers, alarms } = Parts::prepare(settings, interfaces).await?;
        Ok(Self { database, in_force, peers, alarms })
    }

    /// Returns the policy to start with.
    pub fn policy(&self) -> &Arc<Policy> {
        self.in_force.policy()
    }

    /// Returns the To tag to start with.
    pub fn tag(&self) -> &TagSecret {
        self.in_force.tag()
    }

    /// Returns the state of the keeper: the policy in force, and the alarms.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            policy: Arc::clone(self.in_force.policy()),
            since: self.in_force.since().cloned(),
            source: self.in_force.source(),
            reachable: self.database.is_open(),
            read: self.database.last_read(),
            own_flag: self.in_force.own_flag(),
            alarms: self.alarms.clone(),
        }
    }

    /// Runs until `stop` is cancelled, or until a policy cannot be put in force.
    ///
    /// At the end it reports to the other hosts that this one stops. If a policy could not be put in force, it returns
    /// without this report, since the daemon has to detach first.
    pub async fn run(
        mut self,
        mut enforcer: impl Enforcer,
        mut commands: mpsc::Receiver<Command>,
        publish: watch::Sender<Snapshot>,
        stop: CancellationToken,
    ) -> Result<(), NotInForce> {
        match self.serve(&mut enforcer, &mut commands, &publish, &stop).await {
            Err(error) if !error.is_stopped() => return Err(error),
            _ => {}
        }
        // The clients of waiting commands get their error now, and not after the database.
        drop(commands);
        self.peers.report_stopping(&mut self.database, self.in_force.policy()).await;
        self.database.close().await;
        Ok(())
    }

    async fn serve(
        &mut self,
        enforcer: &mut impl Enforcer,
        commands: &mut mpsc::Receiver<Command>,
        publish: &watch::Sender<Snapshot>,
        stop: &CancellationToken,
    ) -> Result<(), NotInForce> {
        let mut report_check = interval(REPORT_CHECK);
        report_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Each branch waits for a deadline or for an event that is kept, so that others cannot postpone it by dropping
        // its future. The exception is the watch of a file, so after a command the file is read if the watch is late.
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                command = commands.recv() => match command {
                    Some(command) => {
                        self.handle(command, enforcer, publish).await?;
                        if self.database.is_watch_late() {
                            self.refresh(enforcer, Trigger::Watch).await?;
                        }
                    }
                    None => return Ok(()),
                },
                changed = self.database.changed() => {
                    if changed.is_err() {
                        // The file may have been replaced. If that is not the reason, the error comes again.
                        self.database.close().await;
                    }
                    self.refresh(enforcer, Trigger::Watch).await?;
                }
                () = planned_end(self.in_force.planned_end()) => self.end_as_planned(enforcer).await?,
                () = at(self.in_force.flag_grace_end()) => {
                    self.refresh(enforcer, Trigger::Watch).await?;
                }
                _ = report_check.tick() => if !self.report_if_due().await { continue },
            }
            self.database.schedule_retry();
            publish.send_replace(self.snapshot());
        }
    }

    /// Handles a command and replies to it.
    async fn handle(
        &mut self,
        command: Command,
        enforcer: &mut impl Enforcer,
        publish: &watch::Sender<Snapshot>,
    ) -> Result<(), NotInForce> {
        match command {
            Command::Switch(switch, reply) => {
                let outcome = self.write(&switch, enforcer).await;
                self.reply(reply, outcome.map(|event| (event, self.snapshot())), publish)
            }
            Command::Change(change, reply) => {
                let outcome = self.write(&change, enforcer).await;
                self.reply(reply, outcome.map(|changed| (changed, self.snapshot())), publish)
            }
            Command::Reload(reply) => {
                let outcome = self.reload(enforcer).await;
                if let Err(error) = &outcome {
                    // For SIGHUP, which waits for no reply.
                    warn!("not reloaded: {error}");
                }
                self.reply(reply, outcome.map(|()| self.snapshot()), publish)
            }
            Command::List(kind, reply) => {
                let outcome = self.query(&kind, enforcer).await;
                self.reply(reply, outcome, publish)
            }
            Command::History(limit, reply) => {
                let outcome = self.query(&History(limit), enforcer).await;
                self.reply(reply, outcome, publish)
            }
            Command::Nodes(reply) => {
                let outcome = self.query(&Nodes, enforcer).await;
                self.reply(reply, outcome, publish)
            }
        }
    }

    /// Publishes the state, and then replies: a client that asks for the status after its reply has to see the new one.
    ///
    /// Returns the error of a policy that could not be put in force. The client gets it, too.
    fn reply<T>(
        &self,
        reply: Reply<T>,
        outcome: Result<T, Error>,
        publish: &watch::Sender<Snapshot>,
    ) -> Result<(), NotInForce> {
        publish.send_replace(self.snapshot());
        let fatal = match &outcome {
            Err(Error::NotInForce(error)) => Err(error.clone()),
            _ => Ok(()),
        };
        // The client may have gone.
        let _ = reply.send(outcome);
        fatal
    }

    /// Writes to the database, reads it, and puts its policy in force.
    async fn write<Op: StoreOp>(&mut self, operation: &Op, enforcer: &mut impl Enforcer) -> Result<Op::Output, Error> {
        match self.database.write(operation, &mut self.alarms).await {
            Ok(output) => {
                operation.log(&output);
                match self.refresh(enforcer, Trigger::Command).await? {
                    Outcome::Read => Ok(output),
                    Outcome::Unreadable(error) => Err(Error::NotReadBack(error)),
                }
            }
            Err(error) => {
                // Opens the database before the next command, or raises the alarm.
                self.refresh(enforcer, Trigger::Watch).await?;
                Err(if error.recovery() == Recovery::Reject {
                    Error::Rejected(error)
                } else {
                    Error::NotWritten(error)
                })
            }
        }
    }

    /// Reads data that is not part of the policy.
    async fn query<Op: StoreOp>(&mut self, operation: &Op, enforcer: &mut impl Enforcer) -> Result<Op::Output, Error> {
        match self.database.query(operation, &mut self.alarms).await {
            Ok(output) => Ok(output),
            Err(error) => {
                // Opens the database before the next command, or raises the alarm.
                self.refresh(enforcer, Trigger::Watch).await?;
                Err(Error::NotRead(error))
            }
        }
    }

    async fn reload(&mut self, enforcer: &mut impl Enforcer) -> Result<(), Error> {
        match self.refresh(enforcer, Trigger::Command).await? {
            Outcome::Read => Ok(()),
            Outcome::Unreadable(error) => Err(Error::NotRead(error)),
        }
    }

    /// Reads the database, puts its policy in force, saves it and reports it.
    async fn refresh(&mut self, enforcer: &mut impl Enforcer, trigger: Trigger) -> Result<Outcome, NotInForce> {
        let reading = match self.database.read(&mut self.alarms).await {
            Ok(reading) => reading,
            Err(error) => {
                self.database.lost(&error, &mut self.alarms).await;
                return Ok(Outcome::Unreadable(error));
            }
        };
        let proposal = self.in_force.propose(reading);
        if trigger == Trigger::Watch && self.in_force.awaits_flag(&proposal) {
            return Ok(Outcome::Read);
        }
        let changed = proposal.state().policy != *self.in_force.policy();
        if trigger == Trigger::Command || changed {
            self.enforce(proposal.state(), enforcer).await?;
        }
        let (last_event, pending) = (proposal.last_event(), proposal.pending());
        self.in_force.adopt(proposal, &mut self.alarms);
        self.database.read_adopted(&mut self.alarms);
        self.in_force.save(&mut self.alarms).await;
        self.peers.note_applied(last_event, changed, pending);
        if trigger == Trigger::Watch && changed {
            self.database.note_change();
        }
        match trigger {
            // `on --wait` waits for the reports of all hosts.
            Trigger::Command => self.report().await,
            Trigger::Watch => {
                self.report_if_due().await;
            }
        }
        Ok(Outcome::Read)
    }

    /// Ends maintenance at its planned end, whether the database can be read or not.
    async fn end_as_planned(&mut self, enforcer: &mut impl Enforcer) -> Result<(), NotInForce> {
        let Some(state) = self.in_force.propose_planned_end(Timestamp::now()) else { return Ok(()) };
        self.enforce(&state, enforcer).await?;
        self.in_force.adopt_planned_end(state);
        self.in_force.save(&mut self.alarms).await;
        self.peers.note_planned_end();
        self.report().await;
        Ok(())
    }

    /// Puts the policy of `state` in force and logs it. `state` is not adopted yet.
    async fn enforce(&self, state: &State, enforcer: &mut impl Enforcer) -> Result<(), NotInForce> {
        enforcer.apply(Arc::clone(&state.policy)).await?;
        report::in_force(self.in_force.policy(), state);
        Ok(())
    }

    /// Reports to the other hosts if a report is due. Returns whether it was.
    async fn report_if_due(&mut self) -> bool {
        let is_due = self.peers.is_due(&self.database);
        if is_due {
            self.report().await;
        }
        is_due
    }

    async fn report(&mut self) {
        self.peers.report(&mut self.database, self.in_force.policy(), &mut self.alarms).await;
    }
}

/// Returns at the planned end of maintenance. Reads the clock twice a second, since it may be set meanwhile.
async fn planned_end(end: Option<Timestamp>) {
    let Some(end) = end else {
        return std::future::pending().await;
    };
    while let Ok(left) = Duration::try_from(end.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        sleep(left.min(Duration::from_millis(500))).await;
    }
}

/// Returns at `time`; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
