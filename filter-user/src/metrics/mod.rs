//! The metrics endpoint: counters and state over HTTP, in the text format of Prometheus.
#![forbid(unsafe_code)]

mod exposition;
mod server;

pub use self::exposition::{Exposition, Family, Kind};
pub use self::server::{BindError, Source, bind, serve};
