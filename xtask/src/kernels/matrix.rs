//! The cells of the matrix: for each NIC and kernel, the ways of running the daemon and the expected outcome of each.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result};
use filter_lab::guest::network::{self, Scenario};
use filter_lab::guest::plan::{Cell, Expect};

use super::qemu::Machine;

/// Major and minor version of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KernelVersion(pub(super) u32, pub(super) u32);

/// Oldest kernel that the product supports.
pub(super) const OLDEST: KernelVersion = KernelVersion(6, 1);

/// Part of the product's error on an older kernel.
const TOO_OLD: &str = "sip-filter needs Linux 6.1 or newer";
/// Part of the product's log line before it falls back to generic mode.
const FALLS_BACK: &str = "attaching in generic mode";

impl KernelVersion {
    /// Parses a release as `uname -r` prints it. Numbers that are missing are zero.
    pub(super) fn from_release(release: &str) -> Self {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|text| text.parse().ok());
        Self(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl FromStr for KernelVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.with_context(|| format!("{text} is not a kernel version such as 6.12"))?;
        Ok(Self(major, minor))
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A NIC in one of its configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Nic {
    /// A veth pair inside the machine
    Veth,
    /// virtio-net with two queue pairs
    Virtio,
    /// virtio-net with four queue pairs, some of them spare
    VirtioSpare,
    /// virtio-net whose host does not let it switch off offloads
    VirtioNoOffloads,
    /// virtio-net behind an IOMMU, which zero-copy requires
    VirtioIommu,
    /// Intel 82576
    Igb,
    /// VMware vmxnet3
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

    /// Returns the name on the command line.
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

    /// Returns the kernel modules of the driver.
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

    /// Returns QEMU's configuration of the NIC.
    pub(super) const fn machine(self) -> Machine {
        match self {
            Self::Veth => Machine { device: None, nics: 0, queues: 1, tap: false },
            Self::Virtio => Machine { device: Some("virtio-net-pci,mq=on"), nics: 2, queues: 2, tap: true },
            Self::VirtioSpare => Machine { device: Some("virtio-net-pci,mq=on"), nics: 2, queues: 4, tap: true },
            Self::VirtioNoOffloads => {
                Machine { device: Some("virtio-net-pci,ctrl_guest_offloads=off"), nics: 2, queues: 1, tap: true }
            }
            Self::VirtioIommu => Machine {
                device: Some("virtio-net-pci,mq=on,iommu_platform=on,disable-legacy=on"),
                nics: 2,
                queues: 2,
                tap: true,
            },
            // The third one is for a bond.
            Self::Igb => Machine { device: Some("igb"), nics: 3, queues: 1, tap: false },
            Self::Vmxnet3 => Machine { device: Some("vmxnet3"), nics: 2, queues: 1, tap: false },
            Self::E1000e => Machine { device: Some("e1000e"), nics: 2, queues: 1, tap: false },
        }
    }

    /// Returns the scenarios that run on this NIC.
    pub(super) fn scenarios(self) -> impl Iterator<Item = &'static Scenario> {
        network::all().filter(move |scenario| scenario.nics.contains(&self.name()))
    }

    /// Returns the cells of this NIC on `kernel`.
    pub(super) fn cells(self, kernel: KernelVersion) -> Vec<Cell> {
        if kernel < OLDEST {
            return match self {
                Self::Veth => vec![rejects("kernel is rejected as too old", None, &[], TOO_OLD)],
                _ => Vec::new(),
            };
        }
        match self {
            // In generic mode all packets arrive on the first queue: the sender's queue does not select the receiver's.
            Self::Veth => {
                vec![native(Some(1), true), generic(Some(1), true), native(Some(2), true), generic(Some(2), false)]
            }
            Self::Virtio => both_modes(&[Some(1), Some(2)], true),
            Self::VirtioSpare => spare(),
            Self::VirtioNoOffloads => vec![
                falls_back(None, "Operation not supported", true),
                rejects("native is rejected with a remedy", None, &["--mode", "native"], "--mode generic"),
            ],
            Self::VirtioIommu => {
                let mut cells = both_modes(&[Some(2)], true);
                cells.extend(zero_copy(kernel, true));
                cells
            }
            Self::Igb => {
                let mut cells = both_modes(&[Some(1), Some(2)], false);
                cells.extend(zero_copy(kernel, false));
                cells
            }
            // vmxnet3 supports native XDP since 6.6.
            Self::Vmxnet3 if kernel >= KernelVersion(6, 6) => both_modes(&[None], false),
            Self::Vmxnet3 | Self::E1000e => vec![
                falls_back(None, "Operation not supported", false),
                generic(None, false),
                rejects("zero-copy is rejected", None, &["--zero-copy"], "leave out --zero-copy"),
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

/// `why` is a part of the driver's error for native mode.
fn falls_back(queues: Option<u32>, why: &str, spread: bool) -> Cell {
    let log = [why, FALLS_BACK].map(str::to_owned).to_vec();
    works("auto falls back to generic with a log line", queues, &[], ("generic", "copy"), log, spread)
}

/// Returns cells for a driver that supports zero-copy in 6.18 and not in 6.12 (igb since 6.14, virtio-net since 6.11).
fn zero_copy(kernel: KernelVersion, spread: bool) -> Vec<Cell> {
    let queues = [Some(1), Some(2)];
    if kernel < KernelVersion(6, 14) {
        return vec![rejects("zero-copy is rejected", Some(1), &["--zero-copy"], "leave out --zero-copy")];
    }
    let cell = |queues| works("zero-copy", queues, &["--zero-copy"], ("native", "zero-copy"), Vec::new(), spread);
    queues.map(cell).into()
}

/// Returns cells for two of four queue pairs in use. When a program attaches, the driver opens the spare pairs for
/// `XDP_TX`, and receives on them too.
fn spare() -> Vec<Cell> {
    vec![
        rejects("native is rejected with a remedy", Some(2), &["--mode", "native"], "combined 4"),
        falls_back(Some(2), "combined 4", true),
        native(Some(4), true),
    ]
}

/// Returns a cell whose daemon attaches in `mode` with a `socket` (`copy` or `zero-copy`), and logs all of `log`.
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

/// Returns a cell whose daemon ends at once, with an error message that contains `error`.
fn rejects(name: &str, queues: Option<u32>, arguments: &[&str], error: &str) -> Cell {
    cell(name, queues, arguments, Expect::Rejects { error: error.to_owned() })
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

#[cfg(test)]
mod tests {
    use filter_lab::guest::network;

    use super::Nic;

    #[test]
    fn each_scenario_names_nics_that_exist() {
        let names: Vec<&str> = Nic::ALL.iter().map(|nic| nic.name()).collect();
        for scenario in network::all() {
            assert!(!scenario.nics.is_empty(), "{} runs on no NIC", scenario.name);
            assert!(
                scenario.nics.iter().all(|nic| names.contains(nic)),
                "{} is for a NIC that is not emulated",
                scenario.name
            );
        }
    }
}
