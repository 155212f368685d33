//! The local Kamailio: it refuses by its own script the calls that never pass XDP (TCP, TLS, WebSocket), by a flag that the
//! daemon sets.
//!
//! The flag is one key of an htable in Kamailio's memory. It is set over the datagram socket of Kamailio's module
//! `jsonrpcs`, and checked every two seconds, since a Kamailio that is restarted loses it.

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
