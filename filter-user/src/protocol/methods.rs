//! The methods: name, parameters and reply of each.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::jsonrpc::Call;
use super::reply::{Edited, Events, InForce, Listed, Nodes, Status, Switched};
use super::request::{History, NoParams, Off, On, Prefixes, ScopeEntries, Users};
use super::{Code, Error};
use crate::dataplane::Counters;

/// A method, with the types of its parameters and of its reply.
pub trait Method {
    /// Name of the method.
    const NAME: &'static str;
    /// Parameters.
    type Params: Serialize + DeserializeOwned;
    /// Reply.
    type Reply: Serialize + DeserializeOwned;
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $name:literal => $variant:ident($params:ty) -> $reply:ty,)+) => {
        /// A request: a method with its parameters.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Request {
            $($(#[doc = $doc])+ $variant($params),)+
        }

        /// The methods as types, by which a client names the method to call.
        pub mod method {
            $($(#[doc = $doc])+ #[derive(Clone, Copy, Debug)] pub enum $variant {})+
        }

        $(impl Method for method::$variant {
            const NAME: &'static str = $name;
            type Params = $params;
            type Reply = $reply;
        })+

        impl Request {
            /// Names of all methods.
            #[cfg(test)]
            pub(crate) const METHODS: &[&str] = &[$($name),+];

            fn new(method: &str, params: Value) -> Result<Self, Error> {
                match method {
                    $($name => parse(params).map(Self::$variant),)+
                    _ => Err(Error::new(Code::METHOD_NOT_FOUND, format!("there is no method {method:?}"))),
                }
            }
        }
    };
}

methods! {
    /// Begins maintenance.
    "on" => On(On) -> Switched,
    /// Ends maintenance.
    "off" => Off(Off) -> Switched,
    /// Reads the database now and applies it.
    "reload" => Reload(NoParams) -> InForce,
    /// Returns the whole state.
    "status" => Status(NoParams) -> Status,
    /// Returns the counters.
    "stats" => Stats(NoParams) -> Counters,
    /// Returns the last events, the newest first.
    "history" => History(History) -> Events,
    /// Returns the hosts that share the database.
    "nodes" => Nodes(NoParams) -> Nodes,
    /// Returns the bypass prefixes.
    "bypass.list" => BypassList(NoParams) -> Listed,
    /// Adds bypass prefixes.
    "bypass.add" => BypassAdd(Prefixes) -> Edited,
    /// Removes bypass prefixes.
    "bypass.remove" => BypassRemove(Prefixes) -> Edited,
    /// Returns the emergency numbers.
    "emergency.list" => EmergencyList(NoParams) -> Listed,
    /// Adds emergency numbers.
    "emergency.add" => EmergencyAdd(Users) -> Edited,
    /// Removes emergency numbers.
    "emergency.remove" => EmergencyRemove(Users) -> Edited,
    /// Returns the sources and the destinations of the scope.
    "scope.list" => ScopeList(NoParams) -> Listed,
    /// Adds sources or destinations to the scope.
    "scope.add" => ScopeAdd(ScopeEntries) -> Edited,
    /// Removes sources or destinations from the scope.
    "scope.remove" => ScopeRemove(ScopeEntries) -> Edited,
}

impl TryFrom<Call<'_, Value>> for Request {
    type Error = Error;

    fn try_from(call: Call<'_, Value>) -> Result<Self, Error> {
        Self::new(&call.method, call.params.unwrap_or_else(|| Map::new().into()))
    }
}

fn parse<T: DeserializeOwned>(params: Value) -> Result<T, Error> {
    if !params.is_object() {
        return Err(Error::new(Code::INVALID_PARAMS, "params has to be an object, by name"));
    }
    serde_json::from_value(params).map_err(|error| Error::new(Code::INVALID_PARAMS, error))
}
