//! Names and layouts of the BPF maps that the XDP program and the daemon share. Numbers are in host byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

/// Array of one [`Policy`], at index 0.
pub const POLICY: &str = "POLICY";
/// Hash from [`QueueKey`] to [`QueueState`], with an entry for each RX queue that a responder serves.
pub const QUEUES: &str = "QUEUES";
/// XSKMAP of the responders' AF_XDP sockets, indexed by [`QueueState::socket`].
pub const SOCKETS: &str = "SOCKETS";
/// Array of one [`PortSet`], at index 0: the UDP destination ports on which the proxy listens.
pub const PORTS: &str = "PORTS";
/// Per-CPU array of `u64` packet counters, indexed by [`Verdict`](crate::verdict::Verdict).
pub const VERDICTS: &str = "VERDICTS";
/// Array of [`Bucket`](crate::transaction_cache::Bucket)s: the transactions of INVITEs that passed. A bucket's index is
/// the lower bits of a transaction's [`identity`](crate::transaction::identity).
pub const PASSED: &str = "PASSED";
/// Array of [`Bucket`](crate::transaction_cache::Bucket)s: the transactions of INVITEs that were refused.
///
/// Separate from [`PASSED`], so that a flood of refused calls does not evict calls that are being set up.
pub const REFUSED: &str = "REFUSED";
/// Hash with a [`UserPart`](crate::sip::UserPart) as the key of each emergency number. Values have no meaning.
pub const EMERGENCY: &str = "EMERGENCY";
/// LPM trie from IPv4 prefixes (network byte order) of callers to [`SourceKind`]. The longest prefix counts.
pub const SOURCES_IPV4: &str = "SOURCES_IPV4";
/// LPM trie from IPv6 prefixes (network byte order) of callers to [`SourceKind`]. The longest prefix counts.
pub const SOURCES_IPV6: &str = "SOURCES_IPV6";
/// Hash of the [`ScopeDestination`]s, calls to which are in the scope of maintenance. Values have no meaning.
pub const SCOPE_DESTINATIONS: &str = "SCOPE_DESTINATIONS";
/// Hash from the index of an interface to its [`InterfaceState`], with an entry for each interface that the program is
/// attached to.
pub const INTERFACES: &str = "INTERFACES";
/// Hash of the [`Station`]s for which an interface receives besides its own MAC address. Values have no meaning.
pub const STATIONS: &str = "STATIONS";
/// Hash of the [`Vlan`]s of which this host has a device. Values have no meaning.
pub const VLANS: &str = "VLANS";
/// Hash from addresses (IPv6, or IPv4-mapped; network byte order, in two words) to [`AddressKind`]: this host's own
/// addresses, and the broadcast addresses of its networks.
pub const ADDRESSES: &str = "ADDRESSES";
/// Hash of the [`UntaggedAddress`]es of interfaces with [`InterfaceState::STRIPS_VLAN_TAGS`]. Values have no meaning.
pub const UNTAGGED_ADDRESSES: &str = "UNTAGGED_ADDRESSES";
/// LPM trie of the IPv4 prefixes (network byte order) that are shielded, with [`ADDRESS_RULE_PREFIXES`].
pub const SHIELDED_IPV4: &str = "SHIELDED_IPV4";
/// LPM trie of the IPv6 prefixes (network byte order) that are shielded, with [`ADDRESS_RULE_PREFIXES`].
pub const SHIELDED_IPV6: &str = "SHIELDED_IPV6";
/// Array of one `u32`, at index 0: the generation of the maps from [`INTERFACES`] to [`UNTAGGED_ADDRESSES`].
///
/// The daemon increments it after each change of these maps. The program then forgets what it remembers of them.
pub const OWNERSHIP_GENERATION: &str = "OWNERSHIP_GENERATION";
/// Global `u32`: the destination addresses that are shielded, as `ADDRESS_RULE_LOCAL` and the like.
pub const ADDRESS_RULE: &str = "ADDRESS_RULE";
/// Global `u64`: the seed of [`transaction_hash`](crate::transaction::transaction_hash).
pub const HASH_SEED: &str = "HASH_SEED";
/// Global `u32`: the number of buckets in [`PASSED`] and in [`REFUSED`], a power of two, less one.
pub const BUCKET_MASK: &str = "BUCKET_MASK";
/// Per-CPU buffer of the XDP program for the message that it scans.
pub const SCRATCH: &str = "SCRATCH";

/// Maximum number of RX queues that one daemon can serve on all interfaces: the size of [`QUEUES`] and of [`SOCKETS`].
pub const MAX_QUEUES: u32 = 256;
/// Capacity of [`PASSED`] and of [`REFUSED`] in transactions, unless the daemon sets another when it loads the program.
///
/// This is four times the transactions of 2000 calls a second in 32 s; then one bucket in four thousand overflows.
pub const DEFAULT_TRANSACTIONS: u32 = 262_144;
/// Capacity of [`EMERGENCY`]: twice the allowed number of entries, since the daemon inserts new ones before it removes
/// old ones.
pub const MAX_EMERGENCY: u32 = 1024;
/// Capacity of [`SOURCES_IPV4`] and of [`SOURCES_IPV6`]: twice the allowed number of bypass prefixes and sources of the
/// scope together, as for [`MAX_EMERGENCY`].
pub const MAX_SOURCES: u32 = 32_768;
/// Capacity of [`SCOPE_DESTINATIONS`]: twice the allowed number of destinations, as for [`MAX_EMERGENCY`].
pub const MAX_SCOPE_DESTINATIONS: u32 = 16_384;

/// Value of [`ADDRESS_RULE`]: this host's own addresses are shielded ([`ADDRESSES`]).
pub const ADDRESS_RULE_LOCAL: u32 = 0;
/// Value of [`ADDRESS_RULE`]: all addresses are shielded.
pub const ADDRESS_RULE_ANY: u32 = 1;
/// Value of [`ADDRESS_RULE`]: the addresses in [`SHIELDED_IPV4`] and [`SHIELDED_IPV6`] are shielded.
pub const ADDRESS_RULE_PREFIXES: u32 = 2;

/// Capacity of [`INTERFACES`].
pub const MAX_INTERFACES: u32 = 256;
/// Capacity of [`STATIONS`] and of [`VLANS`]: a trunk has at most 4094 VLANs, and there may be several trunks.
pub const MAX_STATIONS: u32 = 16_384;
/// Capacity of [`ADDRESSES`] and of [`UNTAGGED_ADDRESSES`].
pub const MAX_ADDRESSES: u32 = 32_768;
/// Capacity of [`SHIELDED_IPV4`] and of [`SHIELDED_IPV6`].
pub const MAX_SHIELDED: u32 = 1024;

/// Maximum length in bytes, from its Ethernet header on, of a frame that is redirected.
///
/// This is the room in an AF_XDP frame of 4096 bytes after the kernel's `XDP_PACKET_HEADROOM` of 256. A longer frame
/// would be lost at the socket (`xsk_rcv_check()` in `net/xdp/xsk.c`), so it is passed.
pub const MAX_FRAME: u32 = 4096 - 256;

/// Time for which a transaction is remembered on either side of a switch, in nanoseconds: 64·T1, after which a client
/// transaction has timed out (RFC 3261 section 17.1.1.2, timer B).
pub const TRANSACTION_NS: u64 = 32_000_000_000;

/// The policy as the XDP program needs it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Policy {
    /// Nonzero during maintenance, when new calls are redirected to the responder.
    pub maintenance: u32,
    /// The methods that are refused during maintenance: [`Method::bit`](crate::sip::Method::bit) of each.
    pub methods: u32,
    /// Share of new calls that is refused, 0 to 100 percent.
    pub percent: u32,
    /// The lists that have entries, and whether there is a scope: [`Policy::SOURCES_IPV4`] and the like. An empty map
    /// is not searched.
    ///
    /// One word, so that the program sees all bits change at once.
    pub lists: u32,
    /// A number that the daemon increments with each policy that it writes, and so after each change of the lists. The
    /// program forgets what it remembers of them.
    pub generation: u32,
    /// Always zero. Replaces padding.
    pub reserved: u32,
    /// The first eight bytes of all our To tags as a [word](crate::words).
    pub tag_prefix: u64,
    /// [`UserPart::combined_bits`](crate::sip::UserPart::combined_bits) of the emergency numbers. A user part with any
    /// other bit is not one of them, so the table is not searched.
    pub emergency: [u64; 2],
    /// End of the 32 s after maintenance or after the start of the daemon, in nanoseconds of `CLOCK_MONOTONIC`. Zero,
    /// or a time that has passed, if there are none.
    ///
    /// Until then, an INVITE that was refused is refused again, and the ACK to one of our responses is dropped.
    pub tail_until_ns: u64,
}

impl Policy {
    /// Bit of [`Policy::lists`]: there are IPv4 prefixes of callers.
    pub const SOURCES_IPV4: u32 = 1;
    /// Bit of [`Policy::lists`]: there are IPv6 prefixes of callers.
    pub const SOURCES_IPV6: u32 = 2;
    /// Bit of [`Policy::lists`]: there are destinations of the scope.
    pub const DESTINATIONS: u32 = 4;
    /// Bit of [`Policy::lists`]: maintenance has a scope, and calls outside it pass. Without the bit, all calls are in
    /// the scope.
    pub const SCOPE: u32 = 8;
}

/// A kind of prefix in [`SOURCES_IPV4`] and [`SOURCES_IPV6`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Calls from the prefix are never refused.
    Bypass = 1,
    /// Calls from the prefix are in the scope of maintenance.
    Scope = 2,
}

/// A destination, calls to which are in the scope of maintenance.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ScopeDestination {
    /// Address in network byte order, in two words: IPv6, or IPv4-mapped.
    pub address: [u64; 2],
    /// UDP port, or [`ScopeDestination::ANY_PORT`].
    pub port: u32,
    /// Always zero. Replaces padding.
    pub reserved: u32,
}

impl ScopeDestination {
    /// Value of [`ScopeDestination::port`]: calls to any port of the address.
    pub const ANY_PORT: u32 = 0;
}

/// An RX queue of an interface, as `struct xdp_md` identifies it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QueueKey {
    /// `ingress_ifindex`.
    pub ifindex: u32,
    /// `rx_queue_index`.
    pub queue: u32,
}

/// An interface that the program is attached to, as the XDP program knows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct InterfaceState {
    /// MAC address of the interface as [`mac_number`] returns it.
    pub mac: u64,
    /// MTU in bytes. A longer packet has been merged from several.
    pub mtu: u32,
    /// [`InterfaceState::GENERIC`] and the like.
    pub flags: u32,
}

impl InterfaceState {
    /// Bit of [`InterfaceState::flags`]: the program runs in generic mode, where the kernel may have merged several
    /// datagrams into one.
    pub const GENERIC: u32 = 1;
    /// Bit of [`InterfaceState::flags`]: the interface is a backup member of a bond. The kernel drops what it receives.
    pub const BACKUP: u32 = 2;
    /// Bit of [`InterfaceState::flags`]: VLAN devices are stacked on the interface, and the program may see a frame
    /// without its VLAN tag.
    pub const STRIPS_VLAN_TAGS: u32 = 4;

    /// Returns whether a bit is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A MAC address for which an interface receives.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Station {
    /// MAC address as [`mac_number`] returns it.
    pub mac: u64,
    /// Index of the interface.
    pub ifindex: u32,
    /// Always zero. Replaces padding.
    pub reserved: u32,
}

/// A VLAN on an interface.
///
/// A tag is a number of its ethertype, in the upper 16 bits, and its VLAN id. Zero is no tag.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Vlan {
    /// Index of the interface.
    pub ifindex: u32,
    /// Outer tag, which comes first in a frame.
    pub outer: u32,
    /// Inner tag.
    pub inner: u32,
    /// Always zero. Replaces padding.
    pub reserved: u32,
}

/// An address at which packets without a VLAN tag can arrive on an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct UntaggedAddress {
    /// Address, as in [`ADDRESSES`].
    pub address: [u64; 2],
    /// Index of the interface.
    pub ifindex: u32,
    /// Always zero. Replaces padding.
    pub reserved: u32,
}

/// A kind of address in [`ADDRESSES`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// An address of this host.
    Own = 1,
    /// The broadcast address of a network that this host is in.
    Broadcast = 2,
}

/// Returns a MAC address as a number whose lowest byte is the first byte of the address.
#[inline(always)]
pub const fn mac_number([first, second, third, fourth, fifth, sixth]: [u8; 6]) -> u64 {
    u64::from_le_bytes([first, second, third, fourth, fifth, sixth, 0, 0])
}

/// Returns an IPv4 address (network byte order) as IPv4-mapped IPv6 address in two words: `::ffff:a.b.c.d` (RFC 4291
/// section 2.5.5.2).
#[inline(always)]
pub const fn mapped_ipv4(address: [u8; 4]) -> [u64; 2] {
    [0, ((u32::from_ne_bytes(address) as u64) << 32) | 0xffff_0000]
}

/// Returns an IPv6 address (network byte order) in two words.
#[inline(always)]
pub const fn ipv6_words(address: [u8; 16]) -> [u64; 2] {
    transmute!(address)
}

/// The responder of an RX queue, as the XDP program knows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QueueState {
    /// End of the lease, until which frames may be redirected, in nanoseconds of `CLOCK_MONOTONIC`
    /// (`bpf_ktime_get_coarse_ns()`).
    ///
    /// The responder thread renews it in its own loop after it has made progress. If the thread hangs, the lease
    /// expires and calls pass.
    pub redirect_until_ns: u64,
    /// Index of the queue's AF_XDP socket in [`SOCKETS`].
    pub socket: u32,
    /// Always zero. Replaces padding, which the verifier would consider uninitialised.
    pub reserved: u32,
}

/// A set of UDP ports: one bit for each of the 65 536.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PortSet {
    words: [u64; 1024],
}

#[expect(clippy::indexing_slicing, reason = "a port has 16 bits, so `port >> 6` is below 1024")]
impl PortSet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; 1024] };

    /// Inserts `port` (host byte order).
    pub fn insert(&mut self, port: u16) {
        self.words[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Returns whether `port` (host byte order) is in the set.
    #[inline(always)]
    pub fn contains(&self, port: u16) -> bool {
        (self.words[usize::from(port >> 6)] >> (port & 63)) & 1 == 1
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::EMPTY;
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

// The layouts are compiled for two targets, and have to be the same on both.
const _: () = {
    assert!(size_of::<Policy>() == 56);
    assert!(size_of::<ScopeDestination>() == 24);
    assert!(size_of::<QueueKey>() == 8);
    assert!(size_of::<InterfaceState>() == 16);
    assert!(size_of::<Station>() == 16);
    assert!(size_of::<Vlan>() == 16);
    assert!(size_of::<UntaggedAddress>() == 24);
    assert!(size_of::<QueueState>() == 16);
    assert!(size_of::<PortSet>() == 8192);
};

/// Implementations of aya's `Pod`, by which the daemon passes the layouts to the kernel as bytes.
#[cfg(feature = "user")]
#[expect(unsafe_code, reason = "`Pod` is an unsafe trait")]
mod pod {
    use zerocopy::{FromBytes, IntoBytes};

    use super::{
        InterfaceState, Policy, PortSet, QueueKey, QueueState, ScopeDestination, Station, UntaggedAddress, Vlan,
    };
    use crate::sip::UserPart;

    /// Compiles only if a `T` is valid from any bytes and has no padding.
    const fn assert_plain<T: FromBytes + IntoBytes + Copy + 'static>() {}

    macro_rules! implement_pod {
        ($($layout:ty),+) => {$(
            const _: () = assert_plain::<$layout>();

            // SAFETY: `assert_plain` holds for the type, so any bytes are a valid value, and all bytes of a value are
            // initialised.
            unsafe impl aya::Pod for $layout {}
        )+};
    }

    implement_pod!(
        Policy,
        QueueKey,
        QueueState,
        PortSet,
        UserPart,
        InterfaceState,
        Station,
        Vlan,
        UntaggedAddress,
        ScopeDestination
    );
}

#[cfg(test)]
mod tests {
    use super::PortSet;

    #[test]
    fn a_port_set_contains_exactly_its_ports() {
        let set = PortSet::from_iter([0, 5060, 5061, 65535]);
        for port in 0..=u16::MAX {
            assert_eq!(set.contains(port), matches!(port, 0 | 5060 | 5061 | 65535), "port {port}");
        }
    }
}
