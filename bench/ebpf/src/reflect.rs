//! The limits of any answerer: the frame goes back as it came, from within the kernel or through an AF_XDP socket.
#![expect(unsafe_code, reason = "reads and writes of packet memory")]

use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_TX};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::XskMap;
use aya_ebpf::programs::XdpContext;

use crate::headers::Headers;
use crate::layout::PORT;

/// AF_XDP sockets, by the number of their RX queue.
#[map]
static REFLECTORS: XskMap = XskMap::with_max_entries(4, 0);

/// Sends packets to the proxy's port back, with addresses and ports swapped.
#[xdp]
fn reflect(ctx: XdpContext) -> u32 {
    let Some(headers) = to_the_proxy(&ctx) else { return XDP_PASS };
    // SAFETY: the pointer is valid (`Headers::parse`). Each pair is read before one of the two is written.
    unsafe {
        let headers = &mut *headers;
        (headers.source_mac, headers.destination_mac) = (headers.destination_mac, headers.source_mac);
        (headers.source, headers.destination) = (headers.destination, headers.source);
        (headers.source_port, headers.destination_port) = (headers.destination_port, headers.source_port);
    }
    XDP_TX
}

/// Redirects packets to the proxy's port to the AF_XDP socket of their queue.
#[xdp]
fn redirect(ctx: XdpContext) -> u32 {
    if to_the_proxy(&ctx).is_none() {
        return XDP_PASS;
    }
    REFLECTORS.redirect(ctx.rx_queue_index(), u64::from(XDP_PASS)).unwrap_or(XDP_PASS)
}

/// Returns the headers of a packet to the proxy's port, or `None` if the packet is another one.
#[inline(always)]
fn to_the_proxy(ctx: &XdpContext) -> Option<*mut Headers> {
    // SAFETY: the pointer is valid (`Headers::parse`).
    Headers::parse(ctx).filter(|headers| unsafe { (**headers).destination_port } == PORT.to_be())
}
