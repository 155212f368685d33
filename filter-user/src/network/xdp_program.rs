//! The XDP program on an interface.

use aya::programs::loaded_programs;
use netlink_packet_route::link::{LinkXdp, XdpAttached};
use serde::{Deserialize, Serialize};

/// The place in which an XDP program runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// On the NIC; never ours.
    Offloaded,
    /// Several programs in different places; never ours.
    Multiple,
    /// A place that a daemon of a later version reports.
    #[serde(other)]
    Unknown,
}

impl AttachMode {
    /// Returns the name in JSON and in messages.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XdpProgram {
    /// Id (`bpftool prog show id`).
    pub(crate) id: u32,
    /// Place in which it runs.
    pub(crate) mode: AttachMode,
}

impl XdpProgram {
    /// Reads the attributes of `IFLA_XDP`.
    pub(super) fn from_attributes(attributes: &[LinkXdp]) -> Option<Self> {
        let mode = attributes.iter().find_map(|attribute| match attribute {
            LinkXdp::Attached(XdpAttached::Driver) => Some(AttachMode::Native),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(AttachMode::Generic),
            LinkXdp::Attached(XdpAttached::Hardware) => Some(AttachMode::Offloaded),
            LinkXdp::Attached(XdpAttached::Multiple) => Some(AttachMode::Multiple),
            _ => None,
        })?;
        let id = attributes.iter().find_map(|attribute| match attribute {
            LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
            _ => None,
        })?;
        Some(Self { id, mode })
    }

    /// Returns the program's id, name and place, for a message.
    pub(crate) fn describe(self) -> String {
        let program = loaded_programs().flatten().find(|program| program.id() == self.id);
        match program.as_ref().and_then(|program| program.name_as_str()) {
            Some(name) => format!("id {} \"{name}\" ({})", self.id, self.mode.name()),
            None => format!("id {} ({})", self.id, self.mode.name()),
        }
    }
}
