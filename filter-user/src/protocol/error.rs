//! The errors in a daemon's replies.

use serde::{Deserialize, Serialize};

/// An error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(i64);

impl Code {
    /// The line is not JSON (JSON-RPC 2.0 section 5.1, like the next four).
    pub const PARSE: Self = Self(-32700);
    /// The JSON is not a request.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// There is no such method.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// The parameters are invalid. Nothing was done.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// A fault of the daemon, or the daemon is ending.
    pub const INTERNAL: Self = Self(-32603);
    /// The database could not be read or written.
    pub const DATABASE: Self = Self(-32000);
    /// The data plane failed.
    pub const DATA_PLANE: Self = Self(-32001);
    /// Too many clients are connected.
    pub const BUSY: Self = Self(-32002);
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
