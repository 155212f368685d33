//! The methods and their parameters.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rpc::{Code, RpcError};
use crate::domain::{
    Action, Edit, Exemption, Hosts, Methods, NodeName, Origin, Percent, ReasonPhrase, RetryAfter, StatusCode, Switch,
    Why,
};

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Maintenance begins.
    On(OnParams),
    /// Maintenance ends.
    Off(OffParams),
    /// All about the state.
    Status,
    /// The database is read now and applied.
    Reload,
    /// Counters.
    Stats,
    /// The last events.
    History(HistoryParams),
    /// The hosts that share the database.
    Nodes,
    /// The entries of a table of exemptions.
    List(Exemption),
    /// Entries are added to it, or removed.
    Edit(Exemption, Edit, EditParams),
}

/// Parameters of `on`. What is not given stays as its row has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnParams {
    /// Status code, 400 to 699.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<StatusCode>,
    /// Reason phrase, at most 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonPhrase>,
    /// `Retry-After` in seconds, 0 (none) to 86400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
    /// Share of new calls that is refused, in percent, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// Methods that are refused, in one string, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Methods>,
    /// When maintenance ends by itself, on all hosts; in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// This host alone: row `maint@NODE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// All hosts: rows `maint@NODE` are taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Why, for the others; at most 1000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Parameters of `history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// How many events at most, 1 to 1000, the newest first; [`HistoryParams::DEFAULT`] if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl HistoryParams {
    /// How many events without a limit.
    pub const DEFAULT: u32 = 20;
    /// How many events at most: an answer is one line.
    pub const MOST: u32 = 1000;

    fn check(&self) -> Result<(), String> {
        match self.limit {
            Some(limit) if !(1..=Self::MOST).contains(&limit) => Err(format!("limit is 1 to {}", Self::MOST)),
            _ => Ok(()),
        }
    }
}

/// Parameters of `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffParams {
    /// This host alone: row `maint@NODE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// All hosts: rows `maint@NODE` are taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Why, for the others; at most 1000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Parameters of `bypass.add`, `emergency.add` and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditParams {
    /// The entries, at least one.
    pub entries: Vec<String>,
    /// Why, for the others; at most 1000 bytes.
    pub why: Option<Why>,
}

/// Parameters of `bypass.add` and `bypass.remove`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixParams {
    prefixes: Vec<String>,
    why: Option<Why>,
}

/// Parameters of `emergency.add` and `emergency.remove`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserParams {
    users: Vec<String>,
    why: Option<Why>,
}

/// Parameters of the methods that have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

impl Method {
    /// The method of this name with these parameters, if they are valid.
    pub fn new(name: &str, params: Value) -> Result<Self, RpcError> {
        match name {
            "on" => {
                let params: OnParams = read(params)?;
                params.check().map_err(|error| RpcError::new(Code::InvalidParams, error))?;
                Ok(Self::On(params))
            }
            "off" => {
                let params: OffParams = read(params)?;
                params.check().map_err(|error| RpcError::new(Code::InvalidParams, error))?;
                Ok(Self::Off(params))
            }
            "status" => read::<NoParams>(params).map(|_| Self::Status),
            "reload" => read::<NoParams>(params).map(|_| Self::Reload),
            "stats" => read::<NoParams>(params).map(|_| Self::Stats),
            "history" => {
                let params: HistoryParams = read(params)?;
                params.check().map_err(|error| RpcError::new(Code::InvalidParams, error))?;
                Ok(Self::History(params))
            }
            "nodes" => read::<NoParams>(params).map(|_| Self::Nodes),
            "bypass.list" => read::<NoParams>(params).map(|_| Self::List(Exemption::Bypass)),
            "bypass.add" => edit(Exemption::Bypass, Edit::Add, params),
            "bypass.remove" => edit(Exemption::Bypass, Edit::Remove, params),
            "emergency.list" => read::<NoParams>(params).map(|_| Self::List(Exemption::Emergency)),
            "emergency.add" => edit(Exemption::Emergency, Edit::Add, params),
            "emergency.remove" => edit(Exemption::Emergency, Edit::Remove, params),
            _ => Err(RpcError::new(Code::MethodNotFound, format!("there is no method {name:?}"))),
        }
    }
}

impl OnParams {
    /// The switch that they ask for. Their `why` belongs into `origin`, which knows who asks, too.
    pub fn switch(self, action: Action, origin: Origin) -> Switch {
        let hosts = match (self.node, self.all) {
            (Some(node), _) => Hosts::One(node),
            (None, true) => Hosts::All,
            (None, false) => Hosts::Cluster,
        };
        Switch {
            until: self.until,
            code: self.code,
            reason: self.reason,
            retry_after: self.retry_after,
            percent: self.percent,
            methods: self.methods,
            ..Switch::new(action, hosts, origin)
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.until.is_some_and(|until| until <= Timestamp::now()) {
            return Err("until is a time in the future".into());
        }
        OffParams { node: self.node.clone(), all: self.all, why: self.why.clone() }.check()
    }
}

impl From<OffParams> for OnParams {
    fn from(OffParams { node, all, why }: OffParams) -> Self {
        Self { node, all, why, ..Self::default() }
    }
}

impl OffParams {
    fn check(&self) -> Result<(), String> {
        if self.node.is_some() && self.all {
            return Err("node and all exclude each other: one host, or all".into());
        }
        Ok(())
    }
}

/// What is wrong with an entry is found out where the change is made.
fn edit(exemption: Exemption, edit: Edit, params: Value) -> Result<Method, RpcError> {
    let params = match exemption {
        Exemption::Bypass => {
            let PrefixParams { prefixes, why } = read(params)?;
            EditParams { entries: prefixes, why }
        }
        Exemption::Emergency => {
            let UserParams { users, why } = read(params)?;
            EditParams { entries: users, why }
        }
    };
    if params.entries.is_empty() {
        let message = format!("{} is empty: name at least one", exemption.plural());
        return Err(RpcError::new(Code::InvalidParams, message));
    }
    Ok(Method::Edit(exemption, edit, params))
}

fn read<T: for<'de> Deserialize<'de>>(params: Value) -> Result<T, RpcError> {
    if !params.is_object() {
        return Err(RpcError::new(Code::InvalidParams, "params is an object, by name"));
    }
    serde_json::from_value(params).map_err(|error| RpcError::new(Code::InvalidParams, error))
}
