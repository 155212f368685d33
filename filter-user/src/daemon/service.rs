//! What the daemon answers on its control socket.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::plane::Plane;
use super::raised;
use crate::config::{RunSettings, Settings};
use crate::control::{self, Code, EditParams, HistoryParams, Method, OnParams, RpcError, Service};
use crate::dataplane::{InterfaceStatus, PlaneStatus, QueueStatus};
use crate::domain::{Action, Change, Channel, Edit, Entry, Exemption, Origin, Raised, Why};
use crate::kamailio;
use crate::sync::{self, Command, Reply, Snapshot};

/// Answers the methods, from the keeper and the data plane.
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

    /// Has the keeper do something.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<Result<T, sync::Error>, RpcError> {
        let ending = || RpcError::new(Code::Internal, "the daemon is ending");
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }

    /// The same, and answers with what is in force then.
    async fn ask_and_show(&self, command: impl FnOnce(Reply<Snapshot>) -> Command) -> Result<Value, RpcError> {
        let snapshot = self.ask(command).await?.map_err(sync_error)?;
        Ok(self.in_force(&snapshot))
    }

    /// `event` is the number that a host's row in `nodes` reaches when it has applied the switch.
    async fn switch(&self, action: Action, params: OnParams, caller: &str) -> Result<Value, RpcError> {
        let origin = self.origin(params.why.clone(), caller);
        let done = self.ask(|reply| Command::Switch(params.switch(action, origin), reply)).await?;
        let (event, snapshot) = done.map_err(sync_error)?;
        let mut answer = self.in_force(&snapshot);
        answer["event"] = event.into();
        Ok(answer)
    }

    async fn edit(
        &self,
        exemption: Exemption,
        edit: Edit,
        params: EditParams,
        caller: &str,
    ) -> Result<Value, RpcError> {
        let change = Change::new(exemption, edit, &params.entries, self.origin(params.why, caller))
            .map_err(|error| RpcError::new(Code::InvalidParams, error))?;
        let done = self.ask(|reply| Command::Change(change, reply)).await?;
        let (done, snapshot) = done.map_err(sync_error)?;
        let mut answer = self.in_force(&snapshot);
        for (member, entries) in control::exemption::changed(edit, &done) {
            answer[member] = entries;
        }
        Ok(answer)
    }

    /// With the database down, what is in force stands in for what it would say; the alarm is in the answer too.
    async fn list(&self, exemption: Exemption) -> Result<Value, RpcError> {
        let listed = self.ask(|reply| Command::List(exemption, reply)).await?;
        let snapshot = self.snapshot.borrow().clone();
        let entries = listed.unwrap_or_else(|_| {
            let entry = |text| Entry { text, why: None, actor: None, at: None };
            exemption.of(&snapshot.policy).into_iter().map(entry).collect()
        });
        let entries = control::exemption::list(exemption, &entries, Some(&snapshot.policy));
        Ok(json!({exemption.plural(): entries, "alarms": raised(&snapshot, self.kamailio.as_ref())}))
    }

    async fn status(&self) -> Result<Value, RpcError> {
        let snapshot = self.snapshot.borrow().clone();
        let plane = self.plane().await?;
        let alarms = raised(&snapshot, self.kamailio.as_ref());
        let mut status = self.in_force(&snapshot);
        status["degraded"] = degraded(&alarms, &snapshot, &plane.interfaces).into();
        status["version"] = env!("CARGO_PKG_VERSION").into();
        status["node"] = json!(self.settings.node);
        status["own_flag"] = snapshot.own_flag.into();
        status["pid"] = std::process::id().into();
        status["started"] = json!(self.started);
        status["source"] = json!(snapshot.source);
        status["database"] = json!({
            "url": self.settings.database.display().to_string(),
            "table": self.settings.table.as_str(),
            "reachable": snapshot.reachable,
            "read": snapshot.read,
        });
        status["kamailio"] = json!(self.kamailio.as_ref().map(|status| status.borrow().clone()));
        status["ports"] = json!(self.options.ports);
        status["interfaces"] = json!(plane.interfaces);
        status["verdicts"] = json!(plane.counters.verdicts);
        status["responder"] = json!(plane.counters.responder);
        Ok(status)
    }

    /// The answer of `on`, `off` and `reload`, and the beginning of that of `status`.
    fn in_force(&self, snapshot: &Snapshot) -> Value {
        let alarms = raised(snapshot, self.kamailio.as_ref());
        json!({"policy": *snapshot.policy, "since": snapshot.since, "alarms": alarms})
    }

    async fn plane(&self) -> Result<PlaneStatus, RpcError> {
        self.plane.status().await.map_err(|error| RpcError::new(Code::DataPlane, error))
    }
}

impl Service for Control {
    async fn call(&self, caller: &str, method: Method) -> Result<Value, RpcError> {
        match method {
            Method::On(params) => self.switch(Action::On, params, caller).await,
            Method::Off(params) => self.switch(Action::Off, params.into(), caller).await,
            Method::Reload => self.ask_and_show(Command::Reload).await,
            Method::Status => self.status().await,
            Method::Stats => Ok(json!(self.plane().await?.counters)),
            Method::History(HistoryParams { limit }) => {
                let limit = limit.unwrap_or(HistoryParams::DEFAULT);
                let events = self.ask(|reply| Command::History(limit, reply)).await?.map_err(sync_error)?;
                Ok(json!({"events": events}))
            }
            Method::Nodes => {
                let nodes = self.ask(Command::Nodes).await?.map_err(sync_error)?;
                Ok(json!({"nodes": nodes}))
            }
            Method::List(exemption) => self.list(exemption).await,
            Method::Edit(exemption, edit, params) => self.edit(exemption, edit, params, caller).await,
        }
    }
}

/// Whether something is not as it should be.
pub(super) fn degraded(alarms: &[Raised], snapshot: &Snapshot, interfaces: &[InterfaceStatus]) -> bool {
    // With maintenance off nothing is redirected, so a queue without a lease harms nobody.
    let unserved = |queue: &QueueStatus| queue.lease_remaining_ms.is_none();
    let hung = interfaces.iter().any(|interface| interface.queues.iter().any(unserved));
    !alarms.is_empty() || (snapshot.policy.maintenance && hung)
}

fn sync_error(error: sync::Error) -> RpcError {
    let code = match error {
        sync::Error::Rejected(_) => Code::InvalidParams,
        sync::Error::NotWritten(_) | sync::Error::NotRead(_) | sync::Error::NotReadBack(_) => Code::Database,
        sync::Error::NotInForce(_) => Code::DataPlane,
    };
    RpcError::new(code, error)
}
