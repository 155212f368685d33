//! The control socket: a unix stream socket on which the daemon serves the [control protocol](crate::protocol).
#![forbid(unsafe_code)]

mod client;
mod server;
mod socket;

pub use self::client::{Client, ClientError, Received};
pub use self::server::{Service, serve};
pub use self::socket::{ControlSocket, SocketError};

#[cfg(test)]
mod tests;
