//! Drivers that reject the program, lose frames, or cannot let the program go, at large MTUs in native mode.

use aya::util::KernelVersion;

use super::ethtool;

/// Largest MTU for `virtio_net` before [`VIRTIO_COPES`], in bytes.
///
/// The driver gives the program one page for a frame, of which it needs some 600 bytes, and drops longer frames of any
/// kind. Above 4064 it does not let a program go, not even when the process ends (`virtnet_xdp_set()`).
const VIRTIO_MOST: u32 = 3400;

/// First kernel whose `virtio_net` gives a program frames in several buffers ("virtio-net: support multi-buffer xdp").
const VIRTIO_COPES: KernelVersion = KernelVersion::new(6, 3, 0);

/// Returns the largest MTU in bytes at which native mode is safe on an interface, if there is a limit that its driver
/// does not enforce.
pub(crate) fn limit(interface: &str) -> Option<u32> {
    let is_affected = ethtool::driver(interface).as_deref() == Some("virtio_net")
        && KernelVersion::current().is_ok_and(|kernel| kernel < VIRTIO_COPES);
    is_affected.then_some(VIRTIO_MOST)
}

/// Returns the largest MTU in bytes at which a driver accepts the program, with pages of 4 KiB, if there is a limit.
///
/// A program that accepts frames in several buffers makes no difference to these drivers.
pub(crate) fn most_accepted(driver: &str) -> Option<u32> {
    match driver {
        // A buffer of 3072 bytes, less the headers with two VLAN tags, and the checksum (`igb_xdp_setup()`).
        "igb" => Some(3046),
        // `VMXNET3_XDP_MAX_MTU`, without `NET_IP_ALIGN`.
        "vmxnet3" => Some(3494),
        // `ENA_XDP_MAX_MTU`
        "ena" => Some(3498),
        "gve" => Some(2032),
        _ => None,
    }
}
