//! What `ethtool` shows of an interface: its channels, its driver, its offloads. Nothing is set.
//!
//! By the ioctl, which all kernels have; the netlink family of the same name came later, and is a module's worth more code.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// How many queues an interface has in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    /// RX queues in use, combined ones included.
    pub(crate) rx: u32,
    /// TX queues in use, combined ones included.
    pub(crate) tx: u32,
    /// Those of both that are combined.
    pub(crate) combined: u32,
    /// How many combined ones there could be; 0 if the driver has none.
    pub(crate) max_combined: u32,
}

impl Channels {
    /// As `ethtool -l` reads them. An interface whose driver does not tell has one of each.
    pub(crate) fn read(interface: &str) -> io::Result<Self> {
        let channels = match channels(interface) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                return Ok(Self { rx: 1, tx: 1, combined: 0, max_combined: 0 });
            }
            other => other?,
        };
        Ok(Self {
            rx: (channels.rx_count + channels.combined_count).max(1),
            tx: (channels.tx_count + channels.combined_count).max(1),
            combined: channels.combined_count,
            max_combined: channels.max_combined,
        })
    }
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

/// `ETHTOOL_GCHANNELS`. Our own, since the `xdp` crate does not tell the count of combined channels.
fn channels(interface: &str) -> io::Result<EthtoolChannels> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let mut channels = EthtoolChannels { cmd: ETHTOOL_GCHANNELS, ..EthtoolChannels::default() };
    // SAFETY: ETHTOOL_GCHANNELS reads and writes a `struct ethtool_channels`, which this is.
    unsafe { ioctl(interface, (&raw mut channels).cast()) }?;
    Ok(channels)
}

/// The name of the driver, as `ethtool -i` shows it. `None`: it does not tell.
pub(crate) fn driver(interface: &str) -> Option<String> {
    /// `struct ethtool_drvinfo`: the name is its second member.
    #[repr(C)]
    struct DriverInfo {
        cmd: u32,
        driver: [u8; 32],
        rest: [u8; 160],
    }
    const ETHTOOL_GDRVINFO: u32 = 0x03;
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    // SAFETY: ETHTOOL_GDRVINFO writes a `struct ethtool_drvinfo`, which is 196 octets long, as this is.
    unsafe { ioctl(interface, (&raw mut info).cast()) }.ok()?;
    let name = info.driver.split(|octet| *octet == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty())
}

/// An offload (a "feature") of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offload {
    /// Whether it is on.
    pub(crate) on: bool,
    /// Whether it stays as it is, whatever `ethtool -K` says.
    pub(crate) fixed: bool,
}

/// The offloads of an interface by the kernel's names (`rx-vlan-hw-parse`, `rx-lro` …), as `ethtool -k` shows them.
pub(crate) fn offloads(interface: &str) -> io::Result<HashMap<String, Offload>> {
    let names = offload_names(interface)?;
    let states = offload_states(interface, names.len())?;
    Ok(names.into_iter().zip(states).filter(|(name, _)| !name.is_empty()).collect())
}

/// The set of strings that has the names of the offloads.
const ETH_SS_FEATURES: u32 = 4;
/// The length of a string in a set.
const ETH_GSTRING_LEN: usize = 32;

/// `ETHTOOL_GSTRINGS`: in the order of the bits.
fn offload_names(interface: &str) -> io::Result<Vec<String>> {
    const ETHTOOL_GSTRINGS: u32 = 0x1b;
    let count = offload_count(interface)?;
    // `struct ethtool_gstrings`: command, set, number of strings, and the strings; in words, for its alignment.
    let mut strings = vec![0u32; 3 + count * ETH_GSTRING_LEN / size_of::<u32>()];
    (strings[0], strings[1], strings[2]) = (ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count as u32);
    // SAFETY: ETHTOOL_GSTRINGS writes the header and as many strings as the kernel has features, a number that is the
    // same as long as it runs, and for which there is room.
    unsafe { ioctl(interface, strings.as_mut_ptr().cast()) }?;
    let octets: Vec<u8> = strings[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = |string: &[u8]| {
        let name = string.split(|octet| *octet == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    Ok(octets.chunks_exact(ETH_GSTRING_LEN).map(name).collect())
}

/// `ETHTOOL_GSSET_INFO`: how many offloads the kernel knows.
fn offload_count(interface: &str) -> io::Result<usize> {
    /// `struct ethtool_sset_info` for one set.
    #[repr(C)]
    struct SetInfo {
        cmd: u32,
        reserved: u32,
        sets: u64,
        count: u32,
    }
    const ETHTOOL_GSSET_INFO: u32 = 0x37;
    let mut info = SetInfo { cmd: ETHTOOL_GSSET_INFO, reserved: 0, sets: 1 << ETH_SS_FEATURES, count: 0 };
    // SAFETY: ETHTOOL_GSSET_INFO reads and writes a `struct ethtool_sset_info`, with one number for each set that is asked
    // for, which is one.
    unsafe { ioctl(interface, (&raw mut info).cast()) }?;
    Ok(if info.sets == 0 { 0 } else { info.count as usize })
}

/// `ETHTOOL_GFEATURES`: the first `count` offloads.
fn offload_states(interface: &str, count: usize) -> io::Result<Vec<Offload>> {
    /// `struct ethtool_get_features_block`: 32 offloads.
    const BLOCK: usize = 4;
    const ETHTOOL_GFEATURES: u32 = 0x3a;
    let blocks = count.div_ceil(32);
    // `struct ethtool_gfeatures`: command, number of blocks, and the blocks.
    let mut features = vec![0u32; 2 + blocks * BLOCK];
    (features[0], features[1]) = (ETHTOOL_GFEATURES, blocks as u32);
    // SAFETY: ETHTOOL_GFEATURES writes the header and at most as many blocks as it is told that there is room for.
    unsafe { ioctl(interface, features.as_mut_ptr().cast()) }?;
    let state = |index: usize| {
        let [available, _requested, active, never_changed] =
            [0, 1, 2, 3].map(|member| features[2 + index / 32 * BLOCK + member] & (1 << (index % 32)) != 0);
        Offload { on: active, fixed: !available || never_changed }
    };
    Ok((0..count).map(state).collect())
}

/// `SIOCETHTOOL` on an interface of the calling thread's network namespace.
///
/// # Safety
///
/// `data` points to what the command in its first four octets reads and writes.
unsafe fn ioctl(interface: &str, data: *mut libc::c_char) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // SAFETY: `ifreq` is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = data;
    // SAFETY: the request names an interface, and its data are what the caller has promised; both outlive the call.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Channels, driver, offloads};

    /// The loopback is in each namespace, and its features are fixed in the kernel (`loopback_setup()`).
    #[test]
    fn the_loopback_is_as_it_is_in_each_kernel() {
        let offloads = offloads("lo").unwrap();
        assert!(offloads["loopback"].on && offloads["loopback"].fixed, "{offloads:?}");
        assert!(!offloads["rx-lro"].on, "{offloads:?}");
        assert!(offloads.contains_key("rx-vlan-hw-parse"), "{offloads:?}");
        assert_eq!(Channels::read("lo").unwrap(), Channels { rx: 1, tx: 1, combined: 0, max_combined: 0 });
        assert_eq!(driver("lo"), None);
    }

    #[test]
    fn a_name_that_is_none_is_an_error() {
        assert!(offloads("no-such-interface-and-too-long").is_err());
        assert!(Channels::read("nope0").is_err());
    }
}
