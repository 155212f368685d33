//! The emulated NICs of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::failure::OrFail as _;
use crate::{process, wait};

/// Class of an Ethernet controller in `/sys/bus/pci/devices/*/class`, with its subclass and interface.
const ETHERNET: &str = "0x020000";

/// Time within which NICs must have returned from a namespace that has ended.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the names of the NICs in the order of their slots, with an MTU of 1500 and `rxvlan` on.
///
/// # Panics
///
/// Panics if a NIC does not return from a namespace that has ended.
#[track_caller]
pub(super) fn all() -> Vec<String> {
    let count = count();
    let nics = wait::until_some(format_args!("{count} NICs in the first namespace"), RETURN_TIMEOUT, || {
        let nics = present();
        (nics.len() == count).then_some(nics)
    });
    for nic in &nics {
        process::stdout(Command::new("ip").args(["link", "set", nic, "down", "mtu", "1500"]));
        // Fails if the driver cannot change it.
        process::run(Command::new("ethtool").args(["-K", nic, "rxvlan", "on"]));
    }
    nics
}

/// Returns the names of the two NICs that are the wire.
///
/// # Panics
///
/// Panics as [`all`] does, and if the machine has fewer than two NICs.
#[track_caller]
pub(super) fn first_two() -> [String; 2] {
    let mut nics = all();
    nics.truncate(2);
    nics.try_into().unwrap_or_else(|nics| panic!("the machine has the NICs {nics:?}, not two"))
}

/// Returns the number of NICs on the PCI bus.
pub(super) fn count() -> usize {
    let devices = fs::read_dir("/sys/bus/pci/devices").or_fail("cannot list /sys/bus/pci/devices").flatten();
    let class = |folder: fs::DirEntry| fs::read_to_string(folder.path().join("class")).unwrap_or_default();
    devices.map(class).filter(|class| class.trim() == ETHERNET).count()
}

/// Returns the names of the NICs in the namespace of this thread, in the order of their slots.
fn present() -> Vec<String> {
    let devices = fs::read_dir("/sys/class/net").or_fail("cannot list /sys/class/net");
    let mut nics = BTreeSet::new();
    for device in devices.flatten() {
        if let Ok(slot) = fs::canonicalize(device.path().join("device")) {
            nics.insert((slot, device.file_name().to_string_lossy().into_owned()));
        }
    }
    nics.into_iter().map(|(_, name)| name).collect()
}
