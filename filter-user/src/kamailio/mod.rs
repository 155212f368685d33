//! The local Kamailio. Its script refuses the calls that never pass XDP (TCP, TLS, WebSocket) while a flag is on, which
//! the daemon sets.
//!
//! The flag is one key of an htable in Kamailio's memory. It is set over the datagram socket of Kamailio's module
//! `jsonrpcs`, and checked every two seconds, because a restarted Kamailio has lost it.
#![forbid(unsafe_code)]

mod error;
mod exchange;
mod message;
mod status;
mod sync;
mod target;

pub use self::error::Error;
pub use self::status::{State, Status};
pub use self::sync::{KamailioHandle, KamailioSync};
pub use self::target::{HtableName, InvalidTarget, Socket, Target};
