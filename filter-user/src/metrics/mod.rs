//! The metrics endpoint: counters and state over HTTP, for Prometheus and whatever reads its text format.

mod exposition;
mod server;

pub use exposition::{Exposition, Family, Kind};
pub use server::{BindError, Source, bind, serve};
