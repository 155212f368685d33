//! Options of the data plane, fixed for as long as it runs.

use std::time::Duration;

use filter_reply::TagSecret;
use serde::Deserialize;

use super::cpus::CpuList;
use crate::domain::Shielded;

/// Place in which to attach the XDP program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver if it can, otherwise in the network stack.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack: works with any driver, and is slower.
    Generic,
}

/// Options of the data plane.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names of the interfaces on which calls arrive. At least one.
    pub interfaces: Vec<String>,
    /// Destination addresses whose calls are refused.
    pub shielded: Shielded,
    /// UDP ports on which the proxy listens.
    pub ports: Vec<u16>,
    /// Place in which to attach the XDP program.
    pub mode: Mode,
    /// True to bind the sockets in zero-copy mode. This needs the program in the driver, so not [`Mode::Generic`], and
    /// the driver then copies every packet that passes.
    pub zero_copy: bool,
    /// CPUs to which the responder threads are pinned in turn; `None` leaves them to the scheduler.
    pub cpus: Option<CpuList>,
    /// Time for which a responder polls the driver after the last packet before it sleeps; zero does not poll.
    pub busy_poll: Duration,
    /// Time for which frames are redirected to a responder that makes no progress.
    pub lease: Duration,
    /// Number of INVITEs to remember of each kind, passed and refused, so that a retransmission is decided the same
    /// way.
    pub transactions: u32,
    /// True if each response goes to the source port of its request, as after Kamailio's `force_rport()`.
    pub force_rport: bool,
    /// Secret from which the To tags are computed.
    pub tag: TagSecret,
    /// True if the XDP program logs, at debug level.
    pub debug: bool,
}
