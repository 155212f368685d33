//! Drivers that lose frames, or cannot let the program go, at large MTUs in native mode.

use aya::util::KernelVersion;

use super::ethtool;

/// Largest MTU for `virtio_net` before [`VIRTIO_COPES`], in bytes.
///
/// The driver gives the program one page for a frame, of which it needs some 600 bytes, and drops longer frames of any
/// kind. Above 4064 it does not let a program go, not even when the process ends (`virtnet_xdp_set()`).
const VIRTIO_MOST: u32 = 3400;

/// First kernel whose `virtio_net` gives a program frames in several buffers ("virtio-net: support multi-buffer xdp").
const VIRTIO_COPES: KernelVersion = KernelVersion::new(6, 3, 0);

/// Returns the largest MTU in bytes at which native mode is safe on an interface, if there is a limit.
pub(crate) fn limit(interface: &str) -> Option<u32> {
    let is_affected = ethtool::driver(interface).as_deref() == Some("virtio_net")
        && KernelVersion::current().is_ok_and(|kernel| kernel < VIRTIO_COPES);
    is_affected.then_some(VIRTIO_MOST)
}
