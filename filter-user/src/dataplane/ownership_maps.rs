//! The maps by which the XDP program recognises what is this host's.

use std::collections::BTreeSet;
use std::thread;

use aya::maps::{Array, HashMap, MapData, MapError};
use aya::{Ebpf, Pod};
use filter_common::maps::{self, InterfaceState, Station, UntaggedAddress, Vlan};

use super::Error;
use super::map::{GRACE, take_map};
use super::ownership::Ownership;
use super::prefix_map::PrefixMap;
use crate::domain::Shielded;

/// The maps, and what was last written into them.
pub struct OwnershipMaps {
    interfaces: HashMap<MapData, u32, InterfaceState>,
    stations: HashMap<MapData, Station, u32>,
    vlans: HashMap<MapData, Vlan, u32>,
    addresses: HashMap<MapData, [u64; 2], u32>,
    untagged: HashMap<MapData, UntaggedAddress, u32>,
    generation: Array<MapData, u32>,
    written: Ownership,
}

impl OwnershipMaps {
    /// Takes the maps out of the object, and writes the prefixes that are shielded.
    pub(super) fn take(ebpf: &mut Ebpf, shielded: &Shielded) -> Result<Self, Error> {
        if let Shielded::Prefixes(prefixes) = shielded {
            let mut map = PrefixMap::take(ebpf, [maps::SHIELDED_IPV4, maps::SHIELDED_IPV6])?;
            prefixes.iter().try_for_each(|prefix| map.insert(*prefix, 0))?;
        }
        Ok(Self {
            interfaces: take_map(ebpf, maps::INTERFACES)?,
            stations: take_map(ebpf, maps::STATIONS)?,
            vlans: take_map(ebpf, maps::VLANS)?,
            addresses: take_map(ebpf, maps::ADDRESSES)?,
            untagged: take_map(ebpf, maps::UNTAGGED_ADDRESSES)?,
            generation: take_map(ebpf, maps::OWNERSHIP_GENERATION)?,
            written: Ownership::default(),
        })
    }

    /// Writes what has changed since the last call. What stays is never missing meanwhile.
    ///
    /// The order is such that nothing is refused in between that neither the old nor the new state refuses: an
    /// interface is stricter before it has more addresses, and it is less strict after it has fewer.
    pub fn write(&mut self, next: Ownership) -> Result<(), Error> {
        if next == self.written {
            return Ok(());
        }
        self.write_differences(&next)?;
        self.written = next;
        self.increment_generation()?;
        // A program that ran meanwhile may have seen the new generation and the old maps, because processors reorder
        // reads. What it remembers of them is forgotten now.
        thread::sleep(GRACE);
        self.increment_generation()
    }

    fn increment_generation(&mut self) -> Result<(), Error> {
        let generation = self.generation.get(&0, 0).map_err(Error::map(maps::OWNERSHIP_GENERATION))?;
        let next = generation.wrapping_add(1);
        self.generation.set(0, next, 0).map_err(Error::map(maps::OWNERSHIP_GENERATION))
    }

    fn write_differences(&mut self, next: &Ownership) -> Result<(), Error> {
        let before = &self.written;
        insert(&mut self.untagged, &next.untagged, &before.untagged).map_err(Error::map(maps::UNTAGGED_ADDRESSES))?;
        for (ifindex, state) in &next.interfaces {
            let flags = state.flags | before.interfaces.get(ifindex).map_or(0, |before| before.flags);
            let stricter = InterfaceState { flags, ..*state };
            self.interfaces.insert(ifindex, stricter, 0).map_err(Error::map(maps::INTERFACES))?;
        }
        for (address, kind) in &next.addresses {
            if before.addresses.get(address) != Some(kind) {
                self.addresses.insert(address, kind, 0).map_err(Error::map(maps::ADDRESSES))?;
            }
        }
        insert(&mut self.stations, &next.stations, &before.stations).map_err(Error::map(maps::STATIONS))?;
        insert(&mut self.vlans, &next.vlans, &before.vlans).map_err(Error::map(maps::VLANS))?;

        remove(&mut self.vlans, before.vlans.difference(&next.vlans)).map_err(Error::map(maps::VLANS))?;
        remove(&mut self.stations, before.stations.difference(&next.stations)).map_err(Error::map(maps::STATIONS))?;
        let gone = before.addresses.keys().filter(|address| !next.addresses.contains_key(*address));
        remove(&mut self.addresses, gone).map_err(Error::map(maps::ADDRESSES))?;
        let gone = before.interfaces.keys().filter(|ifindex| !next.interfaces.contains_key(ifindex));
        remove(&mut self.interfaces, gone).map_err(Error::map(maps::INTERFACES))?;
        for (ifindex, state) in &next.interfaces {
            self.interfaces.insert(ifindex, state, 0).map_err(Error::map(maps::INTERFACES))?;
        }
        let gone = before.untagged.difference(&next.untagged);
        remove(&mut self.untagged, gone).map_err(Error::map(maps::UNTAGGED_ADDRESSES))
    }
}

/// Inserts the keys of `next` that `before` does not have. The values have no meaning.
fn insert<K: Pod + Ord>(
    map: &mut HashMap<MapData, K, u32>,
    next: &BTreeSet<K>,
    before: &BTreeSet<K>,
) -> Result<(), MapError> {
    next.difference(before).try_for_each(|key| map.insert(key, 0, 0))
}

/// Removes keys, some of which an earlier call that failed may have removed.
fn remove<'k, K: Pod + 'k, V: Pod>(
    map: &mut HashMap<MapData, K, V>,
    mut keys: impl Iterator<Item = &'k K>,
) -> Result<(), MapError> {
    keys.try_for_each(|key| match map.remove(key) {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    })
}
