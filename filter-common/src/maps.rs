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
/// Array of [`Bucket`](crate::memory::Bucket)s: INVITEs that passed. The lower bits of a transaction's
/// [`identity`](crate::transaction::identity) are the index of its bucket.
pub const PASSED: &str = "PASSED";
/// The same for INVITEs that were refused. Two maps, so that a flood of calls that are refused while maintenance is on
/// does not push out what is known of calls that are being set up.
pub const REFUSED: &str = "REFUSED";
/// Hash of [`UserPart`](crate::sip::UserPart) to nothing: the user parts of emergency numbers.
pub const EMERGENCY: &str = "EMERGENCY";
/// LPM trie of IPv4 prefixes (network byte order) from which calls are never refused.
pub const BYPASS_IPV4: &str = "BYPASS_IPV4";
/// The same for IPv6.
pub const BYPASS_IPV6: &str = "BYPASS_IPV6";
/// Global: the seed of [`transaction_hash`](crate::transaction::transaction_hash).
pub const HASH_SEED: &str = "HASH_SEED";
/// Global: how many [`Bucket`](crate::memory::Bucket)s [`PASSED`] and [`REFUSED`] each have, less one.
pub const BUCKET_MASK: &str = "BUCKET_MASK";
/// Per-CPU buffer into which the XDP program copies the message that it scans.
pub const SCRATCH: &str = "SCRATCH";

/// The most RX queues that one daemon can serve, over all interfaces: the size of [`QUEUES`] and [`SOCKETS`].
pub const MAX_QUEUES: u32 = 256;
/// How many transactions [`PASSED`] and [`REFUSED`] each have room for, unless the daemon says otherwise when it loads them: four
/// times those of 2000 calls a second in 32 s, with which one bucket in four thousand is too full.
pub const DEFAULT_TRANSACTIONS: u32 = 262_144;
/// The room for emergency numbers: twice as many as there can be, for a new set goes in before the old one goes out.
pub const MAX_EMERGENCY: u32 = 1024;
/// The room for bypass prefixes of each family: twice as many as there can be, likewise.
pub const MAX_BYPASS: u32 = 16_384;

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
    /// The methods that are refused then: [`Method::bit`](crate::sip::Method::bit) of each.
    pub methods: u32,
    /// The share of new calls that is refused, 0 to 100.
    pub percent: u32,
    /// Which families have bypass prefixes: [`Policy::BYPASS_IPV4`], [`Policy::BYPASS_IPV6`]. A trie that is empty need
    /// not be asked.
    pub bypass: u32,
    /// With what our To tags begin: eight octets, the first in the lowest bits.
    pub tag_prefix: u64,
    /// [`UserPart::combined_bits`](crate::sip::UserPart::combined_bits) the emergency numbers: a user part that has another bit is none of them, so
    /// that the table need not be asked.
    pub emergency: [u64; 2],
    /// For 32 s after maintenance has ended, in nanoseconds of `CLOCK_MONOTONIC`: until then a request that was refused
    /// is refused again, and the ACK to a response of ours dropped. Zero: maintenance has not ended for long.
    pub tail_until_ns: u64,
}

impl Policy {
    /// There are IPv4 prefixes.
    pub const BYPASS_IPV4: u32 = 1;
    /// There are IPv6 prefixes.
    pub const BYPASS_IPV6: u32 = 2;
}

/// How long a transaction is remembered on either side of a switch: 64·T1 (RFC 3261 section 17.1.1.2, timer B), after which
/// a client transaction has given up.
pub const TRANSACTION_NS: u64 = 32_000_000_000;

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
    /// (`bpf_ktime_get_coarse_ns()`). The responder thread renews it from its own loop, after it has made progress, so
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
    use crate::sip::UserPart;

    // SAFETY: all are `repr(C)` structs of integers without padding (4 × u32 + 4 × u64; 2 × u64; 2 × u32;
    // u64 + 2 × u32; 1024 × u64), so every byte is initialised and any bit pattern is a value.
    unsafe impl aya::Pod for Policy {}
    // SAFETY: see above.
    unsafe impl aya::Pod for UserPart {}
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
