//! The methods of the control protocol, executed by the keeper and the data plane.

use jiff::Timestamp;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::plane::Plane;
use super::raised;
use crate::config::{RunSettings, Settings};
use crate::control::Service;
use crate::dataplane::PlaneStatus;
use crate::domain::{Change, Channel, Edit, EntryList, ListKind, Origin, Policy, Switch, Why};
use crate::kamailio;
use crate::protocol::{
    self, Alarm, ChangedEntries, Code, Database, Edited, Entries, Error, Events, InForce, Listed, Nodes, Prefixes,
    Reply, Request, Status, Switched, Users,
};
use crate::sync::{self, Command, Snapshot};

/// Executes requests of the control socket.
pub(super) struct Control {
    settings: Settings,
    options: RunSettings,
    started: Timestamp,
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Snapshot>,
    plane: Plane,
    kamailio: Option<watch::Receiver<kamailio::Status>>,
}

impl Control {
    pub(super) fn new(
        settings: Settings,
        options: RunSettings,
        commands: mpsc::Sender<Command>,
        snapshot: watch::Receiver<Snapshot>,
        plane: Plane,
        kamailio: Option<watch::Receiver<kamailio::Status>>,
    ) -> Self {
        Self { settings, options, started: Timestamp::now(), commands, snapshot, plane, kamailio }
    }

    fn origin(&self, why: Option<Why>, caller: &str) -> Origin {
        Origin { actor: caller.into(), why, channel: Channel::Daemon, node: self.settings.node.to_string() }
    }

    /// Sends a command to the keeper, and returns its reply.
    async fn ask<T>(&self, command: impl FnOnce(sync::Reply<T>) -> Command) -> Result<T, sync::Error> {
        let (reply, received) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|SendError(_)| sync::Error::Ending)?;
        received.await.map_err(|RecvError { .. }| sync::Error::Ending)?
    }

    async fn switch(&self, switch: Switch) -> Result<Switched, Error> {
        let (event, snapshot) = self.ask(|reply| Command::Switch(switch, reply)).await?;
        Ok(Switched { in_force: self.in_force(&snapshot).await, event })
    }

    async fn reload(&self) -> Result<InForce, Error> {
        let snapshot = self.ask(Command::Reload).await?;
        Ok(self.in_force(&snapshot).await)
    }

    async fn edit(&self, list: EntryList, edit: Edit, entries: &[String], origin: Origin) -> Result<Edited, Error> {
        let change = Change::new(list, edit, entries, origin).map_err(invalid_params)?;
        let (changed, snapshot) = self.ask(|reply| Command::Change(change, reply)).await?;
        Ok(Edited { in_force: self.in_force(&snapshot).await, entries: ChangedEntries::new(edit, changed) })
    }

    /// Returns the entries in the database, or those in force while the database is down, which is an alarm.
    async fn list(&self, kind: ListKind) -> Result<Listed, Error> {
        let listed = self.ask(|reply| Command::List(kind, reply)).await;
        let snapshot = self.snapshot.borrow().clone();
        let entries = match listed {
            Ok(entries) => entries,
            Err(error @ sync::Error::Ending) => return Err(error.into()),
            Err(_) => kind.entries_in(&snapshot.policy),
        };
        let entries = Entries::new(kind, &entries, Some(&snapshot.policy));
        Ok(Listed { entries, alarms: self.alarms(&snapshot).await })
    }

    async fn history(&self, limit: protocol::EventLimit) -> Result<Events, Error> {
        let events = self.ask(|reply| Command::History(limit.get(), reply)).await?;
        Ok(Events { events })
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        let nodes = self.ask(Command::Nodes).await?;
        Ok(Nodes { nodes })
    }

    async fn status(&self) -> Result<Status, Error> {
        let snapshot = self.snapshot.borrow().clone();
        let PlaneStatus { interfaces, counters } = self.plane().await?;
        let in_force = self.in_force(&snapshot).await;
        Ok(Status {
            degraded: !in_force.alarms.is_empty(),
            in_force,
            source: snapshot.source,
            own_flag: snapshot.own_flag,
            kamailio: self.kamailio.as_ref().map(|status| status.borrow().clone()),
            database: Database {
                url: self.settings.database.display().to_string(),
                table: self.settings.table.to_string(),
                reachable: snapshot.reachable,
                read: snapshot.read,
            },
            interfaces,
            counters,
            ports: self.options.ports(),
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.settings.node.clone(),
            pid: std::process::id(),
            started: self.started,
        })
    }

    async fn in_force(&self, snapshot: &Snapshot) -> InForce {
        InForce {
            policy: Policy::clone(&snapshot.policy),
            since: snapshot.since.clone(),
            alarms: self.alarms(snapshot).await,
        }
    }

    async fn alarms(&self, snapshot: &Snapshot) -> Vec<Alarm> {
        let plane = self.plane.alarms().await;
        raised(snapshot, self.kamailio.as_ref(), &plane).iter().map(Alarm::from).collect()
    }

    async fn plane(&self) -> Result<PlaneStatus, Error> {
        self.plane.status().await.map_err(|error| Error::new(Code::DATA_PLANE, error))
    }
}

impl Service for Control {
    async fn call(&self, caller: &str, request: Request) -> Result<Reply, Error> {
        let origin = |why| self.origin(why, caller);
        let edit = async |list, edit, entries: &[String], why| {
            self.edit(list, edit, entries, origin(why)).await.map(Reply::Edited)
        };
        match request {
            Request::On(on) => self.switch(on.into_switch(origin).map_err(invalid_params)?).await.map(Reply::Switched),
            Request::Off(off) => {
                self.switch(off.into_switch(origin).map_err(invalid_params)?).await.map(Reply::Switched)
            }
            Request::Reload(_) => self.reload().await.map(Reply::InForce),
            Request::Status(_) => self.status().await.map(|status| Reply::Status(Box::new(status))),
            Request::Stats(_) => Ok(Reply::Counters(self.plane().await?.counters)),
            Request::History(history) => self.history(history.limit.unwrap_or_default()).await.map(Reply::Events),
            Request::Nodes(_) => self.nodes().await.map(Reply::Nodes),
            Request::BypassList(_) => self.list(ListKind::Bypass).await.map(Reply::Listed),
            Request::EmergencyList(_) => self.list(ListKind::Emergency).await.map(Reply::Listed),
            Request::ScopeList(_) => self.list(ListKind::Scope).await.map(Reply::Listed),
            Request::BypassAdd(Prefixes { prefixes, remark }) => {
                edit(EntryList::Bypass, Edit::Add, &prefixes, remark.why).await
            }
            Request::BypassRemove(Prefixes { prefixes, remark }) => {
                edit(EntryList::Bypass, Edit::Remove, &prefixes, remark.why).await
            }
            Request::EmergencyAdd(Users { users, remark }) => {
                edit(EntryList::Emergency, Edit::Add, &users, remark.why).await
            }
            Request::EmergencyRemove(Users { users, remark }) => {
                edit(EntryList::Emergency, Edit::Remove, &users, remark.why).await
            }
            Request::ScopeAdd(entries) => {
                let (list, entries, why) = entries.into_list().map_err(invalid_params)?;
                edit(list, Edit::Add, &entries, why).await
            }
            Request::ScopeRemove(entries) => {
                let (list, entries, why) = entries.into_list().map_err(invalid_params)?;
                edit(list, Edit::Remove, &entries, why).await
            }
        }
    }
}

fn invalid_params(error: impl ToString) -> Error {
    Error::new(Code::INVALID_PARAMS, error)
}

impl From<sync::Error> for Error {
    fn from(error: sync::Error) -> Self {
        let code = match error {
            sync::Error::Rejected(_) => Code::INVALID_PARAMS,
            sync::Error::NotWritten(_) | sync::Error::NotRead(_) | sync::Error::NotReadBack(_) => Code::DATABASE,
            sync::Error::NotInForce(_) => Code::DATA_PLANE,
            sync::Error::Ending => Code::INTERNAL,
        };
        Self::new(code, error)
    }
}
