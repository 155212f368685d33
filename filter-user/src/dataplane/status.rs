//! The state of the data plane, as `status`, `stats` and the metrics report it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::network::AttachMode;
use crate::responder::{Frames, Polled};

/// The state of the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneStatus {
    /// The interfaces with their queues; none once the data plane has stopped.
    pub interfaces: Vec<InterfaceStatus>,
    /// Counters of the XDP program and of the responders.
    pub counters: Counters,
}

/// Counters of packets: the reply to `stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets by the name of their [`Verdict`](filter_common::verdict::Verdict), on all interfaces together.
    pub verdicts: BTreeMap<String, u64>,
    /// Requests and events of the responders by name, on all queues together: `answered`, `lost`, `send_errors`, and
    /// the names of [`Unanswered`](filter_reply::Unanswered).
    pub responder: BTreeMap<String, u64>,
}

/// An interface on which calls arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Name.
    pub name: String,
    /// Interface index.
    pub ifindex: u32,
    /// Name of the bond or team that it is a port of, if `--iface` names that one.
    #[serde(default)]
    pub bond: Option<String>,
    /// Place in which the XDP program runs; `None` if it is not attached.
    pub mode: Option<AttachMode>,
    /// Id of the XDP program on the interface (`bpftool prog show id`).
    pub program: Option<u32>,
    /// RX queues.
    pub queues: Vec<QueueStatus>,
}

impl InterfaceStatus {
    /// Returns the name for people: `eth0 (bond0)` for a port of a bond.
    pub fn display_name(&self) -> String {
        match &self.bond {
            Some(bond) => format!("{} ({bond})", self.name),
            None => self.name.clone(),
        }
    }
}

/// An RX queue with its responder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Number of the queue, from 0.
    pub queue: u32,
    /// Mode in which the AF_XDP socket is bound.
    pub socket: SocketMode,
    /// CPU to which the responder thread is pinned; `None` if it runs on any.
    pub cpu: Option<usize>,
    /// Busy polling, as the kernel has it for the socket; `None` if it is off.
    pub busy_poll: Option<Polled>,
    /// Remaining time of the lease in milliseconds, if it is not renewed; `None` without a valid lease, so that
    /// everything passes.
    pub lease_remaining_ms: Option<u64>,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were redirected and got no response, by the name of the [`Unanswered`](filter_reply::Unanswered).
    /// Earlier versions called this member `refused`.
    #[serde(alias = "refused")]
    pub unanswered: BTreeMap<String, u64>,
    /// Requests that were lost because the socket had no room.
    pub lost: u64,
    /// Number of times that the kernel did not accept responses at once.
    pub send_errors: u64,
    /// Places of the frames of the socket's UMEM.
    pub frames: Frames,
}

/// The mode in which an AF_XDP socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SocketMode {
    /// The kernel copies each packet.
    Copy,
    /// The driver writes packets into the socket's memory.
    ZeroCopy,
    /// A mode that a daemon of a later version reports.
    #[serde(other)]
    Unknown,
}

impl SocketMode {
    /// Returns the name in JSON and in messages.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
