//! The check that a request is this host's: by MAC address, VLAN and address.
//!
//! A NIC also delivers what belongs to others: in promiscuous mode, on a bridge, for guests and containers, and what a
//! switch floods. A response to that would be in the name of somebody else.
#![expect(unsafe_code, reason = "lookups in aya's hash maps are unsafe, and the daemon finds the global by its symbol")]

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use filter_common::maps::{
    ADDRESS_RULE_ANY, ADDRESS_RULE_LOCAL, AddressKind, InterfaceState, MAX_ADDRESSES, MAX_INTERFACES, MAX_SHIELDED,
    MAX_STATIONS, Station, UntaggedAddress, Vlan,
};
use filter_common::verdict::Verdict;

use crate::packet::Flow;
use crate::trie_key;

#[map]
static INTERFACES: HashMap<u32, InterfaceState> = HashMap::with_max_entries(MAX_INTERFACES, 0);

// These are mostly small, and not worth the memory for all entries that they may have.
#[map]
static STATIONS: HashMap<Station, u32> = HashMap::with_max_entries(MAX_STATIONS, BPF_F_NO_PREALLOC);

#[map]
static VLANS: HashMap<Vlan, u32> = HashMap::with_max_entries(MAX_STATIONS, BPF_F_NO_PREALLOC);

#[map]
static ADDRESSES: HashMap<[u64; 2], u32> = HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
static UNTAGGED_ADDRESSES: HashMap<UntaggedAddress, u32> = HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
static SHIELDED_IPV4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(MAX_SHIELDED, BPF_F_NO_PREALLOC);

#[map]
static SHIELDED_IPV6: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(MAX_SHIELDED, BPF_F_NO_PREALLOC);

#[unsafe(no_mangle)]
static ADDRESS_RULE: Global<u32> = Global::new(ADDRESS_RULE_LOCAL);

/// Checks that the requests of a flow are this host's, and that a response can go back the way that they came. Returns
/// the interface.
///
/// # Errors
///
/// The verdict on the requests if they have to pass.
#[inline(always)]
pub(crate) fn check(flow: &Flow) -> Result<InterfaceState, Verdict> {
    let ifindex = flow.ifindex();
    // SAFETY: the daemon replaces whole elements. A reader may see one while it is reused for another interface, which
    // happens only after the program has left the interface.
    let interface = unsafe { INTERFACES.get(ifindex) }.copied().ok_or(Verdict::OtherHost)?;
    let is_local = ADDRESS_RULE.load() == ADDRESS_RULE_LOCAL;
    let tags = flow.tags();
    let is_tagged = tags[0] != 0;
    if !is_station(ifindex, &interface, flow) || is_local && is_tagged && !is_vlan(ifindex, tags) {
        return Err(Verdict::OtherHost);
    }
    if !is_shielded(flow) {
        return Err(Verdict::OtherAddress);
    }
    if interface.has(InterfaceState::BACKUP) {
        return Err(Verdict::Backup);
    }
    // A tag that is there may be the inner one of two.
    if interface.has(InterfaceState::STRIPS_VLAN_TAGS) && (is_tagged || !is_untagged_address(ifindex, flow)) {
        return Err(Verdict::VlanStripped);
    }
    match kind(flow.source()) {
        None => {}
        Some(kind) if kind == AddressKind::Own as u32 => return Err(Verdict::OwnSource),
        Some(_) => return Err(Verdict::NotUnicast),
    }
    Ok(interface)
}

/// Returns whether the interface receives for the destination MAC address.
#[inline(always)]
fn is_station(ifindex: u32, interface: &InterfaceState, flow: &Flow) -> bool {
    let mac = flow.station();
    // SAFETY: nothing is read through the reference. Only its presence matters.
    mac == interface.mac || unsafe { STATIONS.get(Station { mac, ifindex, reserved: 0 }) }.is_some()
}

/// Returns whether this host has a device of the VLAN on the interface.
#[inline(always)]
fn is_vlan(ifindex: u32, [outer, inner]: [u32; 2]) -> bool {
    // SAFETY: as in `is_station`.
    unsafe { VLANS.get(Vlan { ifindex, outer, inner, reserved: 0 }) }.is_some()
}

/// Returns whether the destination address is shielded.
#[inline(always)]
fn is_shielded(flow: &Flow) -> bool {
    match ADDRESS_RULE.load() {
        ADDRESS_RULE_LOCAL => kind(flow.destination()) == Some(AddressKind::Own as u32),
        // The kernel does not deliver a broadcast to one host.
        ADDRESS_RULE_ANY => kind(flow.destination()) != Some(AddressKind::Broadcast as u32),
        _ => match flow.ipv4_destination() {
            Some(ipv4) => trie_key::with_ipv4(ipv4, |key| SHIELDED_IPV4.get(key).is_some()),
            None => trie_key::with_ipv6(flow.destination(), |key| SHIELDED_IPV6.get(key).is_some()),
        }
        .unwrap_or(false),
    }
}

/// Returns the [`AddressKind`] of an address as a number, or `None` if it is neither this host's nor a broadcast.
#[inline(always)]
fn kind(address: [u64; 2]) -> Option<u32> {
    // SAFETY: a `u32`, of which the daemon writes valid kinds alone. An element that is reused meanwhile for another
    // address was deleted just before.
    unsafe { ADDRESSES.get(address) }.copied()
}

/// Returns whether packets without a VLAN tag can arrive at the destination address.
#[inline(always)]
fn is_untagged_address(ifindex: u32, flow: &Flow) -> bool {
    let key = UntaggedAddress { address: flow.destination(), ifindex, reserved: 0 };
    // SAFETY: as in `is_station`.
    unsafe { UNTAGGED_ADDRESSES.get(key) }.is_some()
}
