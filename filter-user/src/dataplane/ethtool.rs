//! Settings of an interface as `ethtool` shows them: channels, driver, offloads. Nothing is written.
//!
//! They are read by the ioctl, which all kernels have. The netlink family `ethtool` is newer, and would need much more
//! code.

#![expect(unsafe_code, reason = "ioctl(2) reads and writes at a pointer")]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::{fs, io};

use super::Error;
use crate::network::Device;

/// Numbers of queues of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    /// RX queues in use, combined ones included.
    pub(crate) rx: u32,
    /// TX queues in use, combined ones included.
    pub(crate) tx: u32,
    /// Combined queues in use, which are both.
    pub(crate) combined: u32,
    /// Largest possible number of combined queues; 0 if the driver has none.
    pub(crate) max_combined: u32,
}

impl Channels {
    /// Returns the numbers of queues of an interface.
    ///
    /// A driver that does not report them (`ethtool -l`) has those that sysfs shows, or, where sysfs is that of another
    /// network namespace, those for which the kernel has memory.
    pub(crate) fn of(device: &Device) -> Result<Self, Error> {
        let interface = &device.name;
        match Self::read(interface) {
            Ok(Some(channels)) => Ok(channels),
            Ok(None) => {
                let shown = |direction| queues_in_sysfs(interface, device.ifindex, direction);
                let rx = shown("rx").unwrap_or(device.rx_queues);
                let tx = shown("tx").unwrap_or(device.tx_queues);
                Ok(Self { rx, tx, combined: 0, max_combined: 0 })
            }
            Err(source) => Err(Error::Channels { interface: interface.clone(), source }),
        }
    }

    /// Checks that each RX queue has a TX queue for its replies. In copy mode, a frame for a TX queue that does not
    /// exist is silently lost (seen on veth with `numtxqueues 1`).
    pub(crate) fn check(&self, interface: &str) -> Result<(), Error> {
        let &Self { rx, tx, .. } = self;
        if tx < rx { Err(Error::TooFewTxQueues { interface: interface.to_owned(), rx, tx }) } else { Ok(()) }
    }

    /// Reads the channels, as `ethtool -l` does. Returns `None` if the driver does not know them.
    pub(super) fn read(interface: &str) -> io::Result<Option<Self>> {
        let channels = match read_channels(interface) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(None),
            other => other?,
        };
        Ok(Some(Self {
            rx: (channels.rx_count + channels.combined_count).max(1),
            tx: (channels.tx_count + channels.combined_count).max(1),
            combined: channels.combined_count,
            max_combined: channels.max_combined,
        }))
    }
}

/// Returns the number of queues of an interface in a direction, `rx` or `tx`, by sysfs. Returns `None` if sysfs shows
/// another network namespace, or nothing.
fn queues_in_sysfs(interface: &str, ifindex: u32, direction: &str) -> Option<u32> {
    let folder = Path::new("/sys/class/net").join(interface);
    let shown = fs::read_to_string(folder.join("ifindex")).ok()?;
    if shown.trim().parse() != Ok(ifindex) {
        return None;
    }
    let queues = fs::read_dir(folder.join("queues")).ok()?.flatten();
    let is_counted = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(direction));
    let count = queues.filter(|queue| is_counted(&queue.file_name())).count();
    (count > 0).then_some(count as u32)
}

/// `struct ethtool_channels` of `include/uapi/linux/ethtool.h`.
#[repr(C)]
#[derive(Default)]
struct EthtoolChannels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx_count: u32,
    tx_count: u32,
    other_count: u32,
    combined_count: u32,
}

const _: () = assert!(size_of::<EthtoolChannels>() == 36);

/// Calls `ETHTOOL_GCHANNELS`. The `xdp` crate does so too, but does not return the count of combined channels.
fn read_channels(interface: &str) -> io::Result<EthtoolChannels> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let mut channels = EthtoolChannels { cmd: ETHTOOL_GCHANNELS, ..EthtoolChannels::default() };
    // SAFETY: ETHTOOL_GCHANNELS reads and writes one `struct ethtool_channels` at the pointer. `EthtoolChannels` has
    // its layout, of integers alone, and is borrowed exclusively until the call returns.
    unsafe { ioctl(interface, (&raw mut channels).cast()) }?;
    Ok(channels)
}

/// Returns the name of the driver, as `ethtool -i` shows it; `None` if there is none.
pub(crate) fn driver(interface: &str) -> Option<String> {
    /// `struct ethtool_drvinfo`, of which the name is the second member.
    #[repr(C)]
    struct DriverInfo {
        cmd: u32,
        driver: [u8; 32],
        rest: [u8; 160],
    }
    const _: () = assert!(size_of::<DriverInfo>() == 196);
    const ETHTOOL_GDRVINFO: u32 = 0x03;
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    // SAFETY: ETHTOOL_GDRVINFO writes one `struct ethtool_drvinfo` of 196 bytes at the pointer. `DriverInfo` has this
    // size, allows any bytes, and is borrowed exclusively until the call returns.
    unsafe { ioctl(interface, (&raw mut info).cast()) }.ok()?;
    let name = info.driver.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty())
}

/// An offload (a "feature") of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offload {
    /// True if it is on.
    pub(crate) on: bool,
    /// True if `ethtool -K` cannot change it.
    pub(crate) fixed: bool,
}

/// Reads the offloads, as `ethtool -k` does, by the kernel's names for them (`rx-vlan-hw-parse`, `rx-lro` …).
pub(crate) fn offloads(interface: &str) -> io::Result<HashMap<String, Offload>> {
    let names = offload_names(interface)?;
    let states = offload_states(interface, names.len())?;
    Ok(names.into_iter().zip(states).filter(|(name, _)| !name.is_empty()).collect())
}

/// String set of the names of offloads (`enum ethtool_stringset`).
const ETH_SS_FEATURES: u32 = 4;
/// Length of a string in a string set, in bytes.
const ETH_GSTRING_LEN: usize = 32;

/// Calls `ETHTOOL_GSTRINGS`. Returns the names of the offloads in the order of their bits.
fn offload_names(interface: &str) -> io::Result<Vec<String>> {
    const ETHTOOL_GSTRINGS: u32 = 0x1b;
    /// Length of the header of `struct ethtool_gstrings` in words: command, string set, number of strings.
    const HEADER: usize = 3;
    let count = offload_count(interface)?;
    // In words, since the struct is aligned like its header.
    let mut strings = vec![ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count as u32];
    strings.resize(HEADER + count * ETH_GSTRING_LEN / size_of::<u32>(), 0);
    // SAFETY: ETHTOOL_GSTRINGS writes the header and as many strings as the kernel knows features, whatever number the
    // header asks for. That number is fixed when the kernel is compiled (`netdev_features_strings`), and
    // `offload_count` has just returned it, so the vector has room for all of them.
    unsafe { ioctl(interface, strings.as_mut_ptr().cast()) }?;
    let bytes: Vec<u8> = strings.iter().skip(HEADER).flat_map(|word| word.to_ne_bytes()).collect();
    let name = |string: &[u8]| {
        let name = string.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    Ok(bytes.chunks_exact(ETH_GSTRING_LEN).map(name).collect())
}

/// Calls `ETHTOOL_GSSET_INFO`. Returns the number of offloads that the kernel knows.
fn offload_count(interface: &str) -> io::Result<usize> {
    /// `struct ethtool_sset_info` for one string set.
    #[repr(C)]
    struct SetInfo {
        cmd: u32,
        reserved: u32,
        sets: u64,
        count: u32,
    }
    const ETHTOOL_GSSET_INFO: u32 = 0x37;
    let mut info = SetInfo { cmd: ETHTOOL_GSSET_INFO, reserved: 0, sets: 1 << ETH_SS_FEATURES, count: 0 };
    // SAFETY: ETHTOOL_GSSET_INFO reads and writes the 16 bytes of a `struct ethtool_sset_info` at the pointer, and
    // after them one `u32` for each bit of `sets` that is set, which is one. `SetInfo` has room for both, and is
    // borrowed exclusively until the call returns.
    unsafe { ioctl(interface, (&raw mut info).cast()) }?;
    Ok(if info.sets == 0 { 0 } else { info.count as usize })
}

/// Calls `ETHTOOL_GFEATURES`. Returns the states of the first `count` offloads.
fn offload_states(interface: &str, count: usize) -> io::Result<Vec<Offload>> {
    const ETHTOOL_GFEATURES: u32 = 0x3a;
    /// Length of the header of `struct ethtool_gfeatures` in words: command, number of blocks.
    const HEADER: usize = 2;
    /// Length of a `struct ethtool_get_features_block` in words, which describes 32 offloads.
    const BLOCK: usize = 4;
    let blocks = count.div_ceil(32);
    let mut features = vec![ETHTOOL_GFEATURES, blocks as u32];
    features.resize(HEADER + blocks * BLOCK, 0);
    // SAFETY: ETHTOOL_GFEATURES writes the header and at most as many blocks as the header says (`copy_size` in
    // `ethtool_get_features()`), for which the vector has room.
    unsafe { ioctl(interface, features.as_mut_ptr().cast()) }?;
    let (_header, blocks) = features.split_at_checked(HEADER).unwrap_or_default();
    let states = blocks.as_chunks::<BLOCK>().0.iter().flat_map(|[available, _requested, active, never_changed]| {
        (0..32).map(|bit| {
            let is_set = |bits: &u32| bits & (1 << bit) != 0;
            Offload { on: is_set(active), fixed: !is_set(available) || is_set(never_changed) }
        })
    });
    Ok(states.take(count).collect())
}

/// Calls `SIOCETHTOOL` on an interface of the calling thread's network namespace.
///
/// # Safety
///
/// `data` begins with the command, as a `u32`, and is valid for all that the command reads and writes there.
unsafe fn ioctl(interface: &str, data: *mut libc::c_char) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // SAFETY: `ifreq` is a C struct of integers, a union and a pointer, for all of which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = data;
    // SAFETY: SIOCETHTOOL reads the `ifreq` at the pointer, which lives until the call returns and has a name that ends
    // with NUL. What it reads and writes at `ifru_data` is valid by the contract of this function.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Channels, driver, offloads};
    use crate::network::Device;

    /// Each network namespace has a loopback interface, whose features are fixed in the kernel (`loopback_setup()`).
    #[test]
    fn loopback_has_the_channels_driver_and_offloads_that_are_fixed_in_the_kernel() {
        let offloads = offloads("lo").unwrap();
        assert!(offloads["loopback"].on && offloads["loopback"].fixed, "{offloads:?}");
        assert!(!offloads["rx-lro"].on, "{offloads:?}");
        assert!(offloads.contains_key("rx-vlan-hw-parse"), "{offloads:?}");
        assert_eq!(Channels::read("lo").unwrap(), None);
        assert_eq!(driver("lo"), None);
    }

    #[test]
    fn queues_of_a_driver_that_does_not_report_them_are_those_of_the_kernel() {
        let loopback = Device { ifindex: 1, name: "lo".into(), rx_queues: 3, tx_queues: 4, ..Device::default() };
        let channels = Channels::of(&loopback).unwrap();
        assert!(matches!((channels.rx, channels.tx), (1, 1) | (3, 4)), "{channels:?}");
        // No interface has this index, so sysfs is of no use.
        let channels = Channels::of(&Device { ifindex: u32::MAX, ..loopback }).unwrap();
        assert_eq!(channels, Channels { rx: 3, tx: 4, combined: 0, max_combined: 0 });
    }

    #[test]
    fn interface_that_does_not_exist_is_an_error() {
        offloads("no-such-interface-and-too-long").unwrap_err();
        Channels::read("nope0").unwrap_err();
    }
}
