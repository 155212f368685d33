//! Layouts of the BPF maps between the XDP program and the daemon. All numbers are in host byte order.

/// Map of one [`Policy`], at index 0: the flag and what goes with it.
pub const POLICY: &str = "POLICY";
/// Hash from [`QueueKey`] to [`QueueState`]: one entry for each RX queue that a responder serves.
pub const QUEUES: &str = "QUEUES";
/// XSKMAP of the responders' AF_XDP sockets, indexed by [`QueueState::socket`].
pub const SOCKETS: &str = "SOCKETS";
/// One [`PortSet`], at index 0: the UDP destination ports on which the proxy listens.
pub const PORTS: &str = "PORTS";
/// Per-CPU array of `u64`, indexed by [`Verdict`](crate::verdict::Verdict): packets by reason.
pub const VERDICTS: &str = "VERDICTS";
/// Per-CPU buffer into which the XDP program copies the message that it scans.
pub const SCRATCH: &str = "SCRATCH";

/// The most RX queues that one daemon can serve, over all interfaces: the size of [`QUEUES`] and [`SOCKETS`].
pub const MAX_QUEUES: u32 = 256;

/// The longest frame, from its Ethernet header to its last byte, that is redirected.
///
/// It is what an AF_XDP frame of 4096 bytes can hold after the kernel's `XDP_PACKET_HEADROOM` of 256: a longer
/// one would be lost at the socket (`xsk_rcv_check()` in `net/xdp/xsk.c`), so it is passed instead.
pub const MAX_FRAME: u32 = 4096 - 256;

/// The policy that the database row states, as the XDP program needs it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Not zero while maintenance is on: new calls are redirected to the responder.
    pub maintenance: u32,
}

/// An RX queue of an interface, as `struct xdp_md` names it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueKey {
    /// `ingress_ifindex`.
    pub ifindex: u32,
    /// `rx_queue_index`.
    pub queue: u32,
}

/// What the XDP program knows of the responder that serves a queue.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// The lease: until when frames may be redirected, in nanoseconds of `CLOCK_MONOTONIC`
    /// (`bpf_ktime_get_ns()`). The responder thread renews it from its own loop, after it has made progress, so
    /// that a thread that hangs fails open when the lease runs out.
    pub redirect_until_ns: u64,
    /// Index of the queue's AF_XDP socket in [`SOCKETS`].
    pub socket: u32,
    /// Keeps the size a multiple of the alignment, without padding that the verifier would call uninitialised.
    pub reserved: u32,
}

/// A set of UDP ports: one bit for each of the 65 536.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSet {
    words: [u64; 1024],
}

impl PortSet {
    /// The set without any port.
    pub const EMPTY: Self = Self { words: [0; 1024] };

    /// Puts `port` (host byte order) into the set.
    pub fn insert(&mut self, port: u16) {
        self.words[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Whether `port` (host byte order) is in the set.
    #[inline(always)]
    pub fn contains(&self, port: u16) -> bool {
        self.words[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::EMPTY;
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

#[cfg(feature = "user")]
mod pod {
    use super::{Policy, PortSet, QueueKey, QueueState};

    // SAFETY: all four are `repr(C)` structs of integers without padding (u32; 2 × u32; u64 + 2 × u32;
    // 1024 × u64), so every byte is initialised and any bit pattern is a value.
    unsafe impl aya::Pod for Policy {}
    // SAFETY: see above.
    unsafe impl aya::Pod for QueueKey {}
    // SAFETY: see above.
    unsafe impl aya::Pod for QueueState {}
    // SAFETY: see above.
    unsafe impl aya::Pod for PortSet {}
}

#[cfg(test)]
mod tests {
    use super::PortSet;

    #[test]
    fn a_port_set_holds_exactly_its_ports() {
        let set = PortSet::from_iter([0, 5060, 5061, 65535]);
        for port in 0..=u16::MAX {
            assert_eq!(set.contains(port), matches!(port, 0 | 5060 | 5061 | 65535), "port {port}");
        }
    }
}
