//! Errors of the configuration, which an operator has to fix.

use std::path::PathBuf;

use thiserror::Error;

use super::InterfaceName;
use super::run::SIP_PORT;
use crate::domain::InvalidShielded;
use crate::store::DatabaseUrlError;

/// The reason why the options cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or an invalid value.
    #[error("configuration file {}, line {line}: {problem}", path.display())]
    Parse {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Description of the problem. Never contains the text of the line, which may be a password.
        problem: String,
    },
    /// No interface is named.
    #[error(
        "no interface is named: name one with --iface, SIP_FILTER_IFACE, or iface in the table [run] of {}",
        .0.display()
    )]
    NoInterface(PathBuf),
    /// An interface is named twice.
    #[error("interface {0} is named twice")]
    InterfaceTwice(InterfaceName),
    /// The list of ports is empty.
    #[error("no port is named: name at least one, or leave --port out for {SIP_PORT}")]
    NoPort,
    /// The values of `--address` contradict each other.
    #[error(transparent)]
    Address(#[from] InvalidShielded),
    /// Zero-copy is not possible in generic mode.
    #[error("zero-copy needs the XDP program in the driver: leave out `--zero-copy`, or `--mode generic`")]
    ZeroCopyGeneric,
    /// The database URL cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseUrlError),
}
