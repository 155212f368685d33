//! The control socket: JSON-RPC 2.0, one object a line, over a unix stream socket (docs/manual/control-protocol.md).

mod client;
pub mod exemption;
mod method;
mod rpc;
mod server;
mod socket;

pub use self::client::{Client, ClientError};
pub use self::method::{EditParams, HistoryParams, Method, OffParams, OnParams};
pub use self::rpc::{Code, RpcError};
pub use self::server::{Service, serve};
pub use self::socket::{ControlSocket, SocketError};

/// The longest request in bytes, its end of line included.
pub const MAX_LINE: usize = 64 << 10;

#[cfg(test)]
mod tests;
