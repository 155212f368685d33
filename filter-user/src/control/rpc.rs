//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>): requests, answers, error codes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// What an error code says; the first five are the specification's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Not JSON.
    Parse,
    /// JSON, but not a request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// The parameters are not the method's.
    InvalidParams,
    /// A fault of the daemon.
    Internal,
    /// The database could not be read or written: nothing has changed.
    Database,
    /// The data plane could not do it.
    DataPlane,
    /// Too many clients at a time.
    Busy,
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> i64 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::Database => -32000,
            Self::DataPlane => -32001,
            Self::Busy => -32002,
        }
    }
}

/// An error as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{message}")]
pub struct RpcError {
    /// Number of a [`Code`].
    pub code: i64,
    /// For a person.
    pub message: String,
}

impl RpcError {
    /// An error of this code.
    pub fn new(code: Code, message: impl ToString) -> Self {
        Self { code: code.number(), message: message.to_string() }
    }

    /// Whether it is of this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.number()
    }
}

/// A request.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// `None` for a notification, which gets no answer.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    /// An empty object if there are none.
    pub(super) params: Value,
}

/// Reads a line. An error comes with the id to answer under.
pub(super) fn parse(line: &[u8]) -> Result<Request, (Value, RpcError)> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| (Value::Null, RpcError::new(Code::Parse, error)))?;
    let Value::Object(mut object) = value else {
        let message = "a request is one JSON object; batches are not supported, send one object a line";
        return Err((Value::Null, RpcError::new(Code::InvalidRequest, message)));
    };
    let id = object.remove("id");
    let invalid = |message: &str, id: &Option<Value>| {
        (id.clone().unwrap_or(Value::Null), RpcError::new(Code::InvalidRequest, message))
    };
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return Err(invalid("id is a string or a number", &None));
    }
    if object.get("jsonrpc") != Some(&Value::from("2.0")) {
        return Err(invalid("jsonrpc has to be \"2.0\"", &id));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(invalid("method has to be a string", &id));
    };
    let params = object.remove("params").unwrap_or_else(|| Value::Object(Map::new()));
    Ok(Request { id, method, params })
}

/// The line that answers the request `id`.
pub(super) fn answer(id: &Value, outcome: Result<Value, RpcError>) -> Vec<u8> {
    let object = match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    };
    let mut line = object.to_string().into_bytes();
    line.push(b'\n');
    line
}
