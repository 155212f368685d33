//! Headers of the benchmarks' frames: Ethernet, IPv4 without options, UDP.
#![expect(unsafe_code, reason = "reads of packet memory after a check of its bounds")]

use aya_ebpf::programs::XdpContext;

const ETH_P_IP: u16 = 0x0800;
const IPPROTO_UDP: u8 = 17;

/// The three headers as they are in the frame, in network byte order.
#[repr(C, packed)]
pub(crate) struct Headers {
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source_mac: [u8; 6],
    ethertype: u16,
    version_ihl: u8,
    before_protocol: [u8; 8],
    protocol: u8,
    checksum: u16,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    length: u16,
    udp_checksum: u16,
}

/// Offset of the payload.
pub(crate) const PAYLOAD: usize = size_of::<Headers>();

impl Headers {
    /// Returns the headers of the frame, or `None` if it has others.
    ///
    /// The pointer is valid for all of [`Headers`], as long as nothing moves the beginning or the end of the frame.
    #[inline(always)]
    pub(crate) fn parse(ctx: &XdpContext) -> Option<*mut Self> {
        if ctx.data() + PAYLOAD > ctx.data_end() {
            return None;
        }
        let headers = ctx.data() as *mut Self;
        // SAFETY: the frame is at least as long as the headers, and packed fields need no alignment.
        let fits = unsafe {
            (*headers).ethertype == ETH_P_IP.to_be()
                && (*headers).version_ihl == 0x45
                && (*headers).protocol == IPPROTO_UDP
        };
        fits.then_some(headers)
    }
}
