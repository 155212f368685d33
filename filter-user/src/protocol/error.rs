//! The errors in a daemon's replies.

use serde::{Deserialize, Serialize};

/// An error code. The first five are those of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub enum Code {
    /// The line is not JSON.
    Parse,
    /// The JSON is not a request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// The parameters are invalid. Nothing was done.
    InvalidParams,
    /// A fault of the daemon, or the daemon is ending.
    Internal,
    /// The database could not be read or written.
    Database,
    /// The data plane failed.
    DataPlane,
    /// Too many clients are connected.
    Busy,
    /// A code of a later version.
    Other(i64),
}

impl From<i64> for Code {
    fn from(number: i64) -> Self {
        match number {
            -32700 => Self::Parse,
            -32600 => Self::InvalidRequest,
            -32601 => Self::MethodNotFound,
            -32602 => Self::InvalidParams,
            -32603 => Self::Internal,
            -32000 => Self::Database,
            -32001 => Self::DataPlane,
            -32002 => Self::Busy,
            other => Self::Other(other),
        }
    }
}

impl From<Code> for i64 {
    fn from(code: Code) -> Self {
        match code {
            Code::Parse => -32700,
            Code::InvalidRequest => -32600,
            Code::MethodNotFound => -32601,
            Code::InvalidParams => -32602,
            Code::Internal => -32603,
            Code::Database => -32000,
            Code::DataPlane => -32001,
            Code::Busy => -32002,
            Code::Other(other) => other,
        }
    }
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Kind of error.
    pub code: Code,
    /// Description for people: what failed, and why.
    pub message: String,
}

impl Error {
    /// Creates an error with `message`.
    pub fn new(code: Code, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}
