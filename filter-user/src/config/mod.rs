//! Options: each is a flag, an environment variable `SIP_FILTER_…` and a key of the configuration file, in this order
//! of precedence, before the default.
//!
//! Command line and file are parsed into the same structs, and the values by the same types.
#![forbid(unsafe_code)]

#[macro_use]
mod macros;

mod common;
mod error;
mod interface_name;
mod log_level;
mod mode;
mod number;
mod run;

pub use self::common::{Common, Config, Settings};
pub use self::error::Error;
pub use self::interface_name::{InterfaceName, InvalidInterfaceName};
pub use self::log_level::{InvalidLogLevel, LogLevel};
pub use self::number::{BusyPollWindow, InvalidBusyPollWindow, InvalidLease, InvalidTransactions, Lease, Transactions};
pub use self::run::{AttachOptions, RunOptions, RunSettings};

#[cfg(test)]
mod tests;
