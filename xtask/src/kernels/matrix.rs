//! The cells: which NIC is tried in which way, and what has to come of it on which kernel.

use std::str::FromStr;

use anyhow::{Context as _, Error, Result};
use filter_lab::guest::plan::{Cell, Expect};

use super::qemu::Machine;

/// The first two numbers of a kernel's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

/// The oldest kernel that the product runs on.
pub(super) const OLDEST: Version = Version(6, 1);

/// What the product says on an older one.
const TOO_OLD: &str = "sip-filter needs Linux 6.1 or newer";
/// What it says of a driver that cannot run it natively, as it goes on in generic mode.
const FALLS_BACK: &str = "attaching in generic mode";

impl Version {
    /// Of what `uname -r` prints.
    pub(super) fn of_release(release: &str) -> Self {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|text| text.parse().ok());
        Self(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.with_context(|| format!("{text} is no version of a kernel, such as 6.12"))?;
        Ok(Self(major, minor))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A NIC, in the way that its machine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Nic {
    /// A veth pair, within the machine
    Veth,
    /// virtio-net with two queue pairs
    Virtio,
    /// virtio-net with more queue pairs than are in use
    VirtioSpare,
    /// virtio-net whose guest cannot switch offloads off
    VirtioNoOffloads,
    /// virtio-net behind an IOMMU, as zero-copy needs it
    VirtioIommu,
    /// Intel 82576
    Igb,
    /// VMware's
    Vmxnet3,
    /// Intel 82574
    E1000e,
}

impl Nic {
    pub(super) const ALL: &[Self] = &[
        Self::Veth,
        Self::Virtio,
        Self::VirtioSpare,
        Self::VirtioNoOffloads,
        Self::VirtioIommu,
        Self::Igb,
        Self::Vmxnet3,
        Self::E1000e,
    ];

    /// As it is given on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Virtio => "virtio",
            Self::VirtioSpare => "virtio-spare",
            Self::VirtioNoOffloads => "virtio-no-offloads",
            Self::VirtioIommu => "virtio-iommu",
            Self::Igb => "igb",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000e => "e1000e",
        }
    }

    /// The kernel modules of its driver.
    pub(super) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Veth => &["veth"],
            Self::Virtio | Self::VirtioSpare | Self::VirtioNoOffloads | Self::VirtioIommu => {
                &["virtio_pci", "virtio_net"]
            }
            Self::Igb => &["igb"],
            Self::Vmxnet3 => &["vmxnet3"],
            Self::E1000e => &["e1000e"],
        }
    }

    /// How QEMU emulates it.
    pub(super) const fn machine(self) -> Machine {
        match self {
            Self::Veth => Machine { device: None, queues: 1, tap: false },
            Self::Virtio => Machine { device: Some("virtio-net-pci,mq=on"), queues: 2, tap: true },
            Self::VirtioSpare => Machine { device: Some("virtio-net-pci,mq=on"), queues: 4, tap: true },
            Self::VirtioNoOffloads => {
                Machine { device: Some("virtio-net-pci,ctrl_guest_offloads=off"), queues: 1, tap: true }
            }
            Self::VirtioIommu => Machine {
                device: Some("virtio-net-pci,mq=on,iommu_platform=on,disable-legacy=on"),
                queues: 2,
                tap: true,
            },
            Self::Igb => Machine { device: Some("igb"), queues: 1, tap: false },
            Self::Vmxnet3 => Machine { device: Some("vmxnet3"), queues: 1, tap: false },
            Self::E1000e => Machine { device: Some("e1000e"), queues: 1, tap: false },
        }
    }

    /// What is tried with it on a kernel.
    pub(super) fn cells(self, kernel: Version) -> Vec<Cell> {
        if kernel < OLDEST {
            return match self {
                Self::Veth => vec![refused("a kernel too old is told", None, &[], TOO_OLD)],
                _ => Vec::new(),
            };
        }
        match self {
            // Without a native program it has no queue of its own for each of the sender's: all comes on the first.
            Self::Veth => {
                vec![native(Some(1), true), generic(Some(1), true), native(Some(2), true), generic(Some(2), false)]
            }
            Self::Virtio => both_modes(&[Some(1), Some(2)], true),
            Self::VirtioSpare => spare(),
            Self::VirtioNoOffloads => vec![
                falls_back(None, "Operation not supported", true),
                refused("native is refused with the way out", None, &["--mode", "native"], "--mode generic"),
            ],
            Self::VirtioIommu => {
                let mut cells = both_modes(&[Some(2)], true);
                cells.extend(zero_copy(kernel, &[Some(1), Some(2)], true));
                cells
            }
            Self::Igb => {
                let mut cells = both_modes(&[Some(1), Some(2)], false);
                cells.extend(zero_copy(kernel, &[Some(1), Some(2)], false));
                cells
            }
            // It has native XDP since 6.6.
            Self::Vmxnet3 if kernel >= Version(6, 6) => both_modes(&[None], false),
            Self::Vmxnet3 | Self::E1000e => vec![
                falls_back(None, "Operation not supported", false),
                generic(None, false),
                refused("zero-copy is refused", None, &["--zero-copy"], "leave out --zero-copy"),
            ],
        }
    }
}

fn both_modes(queues: &[Option<u32>], spread: bool) -> Vec<Cell> {
    queues.iter().flat_map(|queues| [native(*queues, spread), generic(*queues, spread)]).collect()
}

fn native(queues: Option<u32>, spread: bool) -> Cell {
    works("native", queues, &["--mode", "native"], ("native", "copy"), Vec::new(), spread)
}

fn generic(queues: Option<u32>, spread: bool) -> Cell {
    works("generic", queues, &["--mode", "generic"], ("generic", "copy"), Vec::new(), spread)
}

/// `why` is of the error that the driver makes of it.
fn falls_back(queues: Option<u32>, why: &str, spread: bool) -> Cell {
    let log = [why, FALLS_BACK].map(str::to_owned).to_vec();
    works("auto falls back to generic and says so", queues, &[], ("generic", "copy"), log, spread)
}

/// The driver has zero-copy in 6.18 (igb since 6.14, virtio_net since 6.11) and not in 6.12.
fn zero_copy(kernel: Version, queues: &[Option<u32>], spread: bool) -> Vec<Cell> {
    if kernel < Version(6, 14) {
        return vec![refused("zero-copy is refused", queues[0], &["--zero-copy"], "leave out --zero-copy")];
    }
    let cell = |queues| works("zero-copy", queues, &["--zero-copy"], ("native", "zero-copy"), Vec::new(), spread);
    queues.iter().copied().map(cell).collect()
}

/// Two of four queue pairs are in use: with a program the driver takes the others for XDP_TX, and receives on them too.
fn spare() -> Vec<Cell> {
    vec![
        refused("native is refused with the way out", Some(2), &["--mode", "native"], "combined 4"),
        falls_back(Some(2), "combined 4", true),
        native(Some(4), true),
    ]
}

fn works(
    name: &str,
    queues: Option<u32>,
    arguments: &[&str],
    (mode, socket): (&str, &str),
    log: Vec<String>,
    spread: bool,
) -> Cell {
    let expect = Expect::Works { mode: mode.to_owned(), socket: socket.to_owned(), log, spread };
    cell(name, queues, arguments, expect)
}

fn refused(name: &str, queues: Option<u32>, arguments: &[&str], saying: &str) -> Cell {
    cell(name, queues, arguments, Expect::Refused { saying: saying.to_owned() })
}

fn cell(name: &str, queues: Option<u32>, arguments: &[&str], expect: Expect) -> Cell {
    let queues_text = match queues {
        None => String::new(),
        Some(1) => ", 1 queue".to_owned(),
        Some(queues) => format!(", {queues} queues"),
    };
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Cell { name: format!("{name}{queues_text}"), queues, arguments, expect }
}
