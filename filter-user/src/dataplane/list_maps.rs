//! The kernel's maps of bypass prefixes, emergency numbers and the scope.

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use filter_common::maps::{self, ScopeDestination};
use filter_common::sip::UserPart;

use super::Error;
use super::lists::{Lists, Update};
use super::map::take_map;
use super::prefix_map::PrefixMap;
use crate::domain::EntryList;

// A new entry is inserted before an old one is removed. Each map therefore holds two sets: a full map would end the
// daemon.
const _: () = {
    let sources = EntryList::Bypass.max_in_force() + EntryList::ScopeSource.max_in_force();
    assert!(maps::MAX_SOURCES as usize >= 2 * sources);
    assert!(maps::MAX_SCOPE_DESTINATIONS as usize >= 2 * EntryList::ScopeDestination.max_in_force());
    assert!(maps::MAX_EMERGENCY as usize >= 2 * EntryList::Emergency.max_in_force());
};

/// The maps, and what they contain.
pub struct ListMaps {
    sources: PrefixMap,
    destinations: HashMap<MapData, ScopeDestination, u32>,
    emergency: HashMap<MapData, UserPart, u32>,
    contents: Lists,
}

impl ListMaps {
    /// Takes the maps, which are empty, out of the object.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, Error> {
        Ok(Self {
            sources: PrefixMap::take(ebpf, [maps::SOURCES_IPV4, maps::SOURCES_IPV6])?,
            destinations: take_map(ebpf, maps::SCOPE_DESTINATIONS)?,
            emergency: take_map(ebpf, maps::EMERGENCY)?,
            contents: Lists::default(),
        })
    }

    /// Returns what the maps contain.
    pub(super) fn contents(&self) -> &Lists {
        &self.contents
    }

    /// Replaces the contents of the maps. An entry that stays is never missing meanwhile.
    ///
    /// The program searches only the maps that [`Lists::bits`] in its policy names.
    pub fn replace(&mut self, next: &Lists) -> Result<(), Error> {
        let updates = [self.contents.insertions(next), self.contents.removals(next)].concat();
        updates.into_iter().try_for_each(|update| self.write(update))
    }

    /// Makes one update.
    pub(super) fn write(&mut self, update: Update) -> Result<(), Error> {
        match update {
            Update::SetSource(prefix, kind) => self.sources.insert(prefix, kind as u32)?,
            Update::RemoveSource(prefix) => self.sources.remove(prefix)?,
            Update::AddDestination(destination) => {
                let inserted = self.destinations.insert(destination.key(), 0, 0);
                inserted.map_err(Error::map(maps::SCOPE_DESTINATIONS))?;
            }
            Update::RemoveDestination(destination) => {
                let removed = self.destinations.remove(&destination.key());
                removed.map_err(Error::map(maps::SCOPE_DESTINATIONS))?;
            }
            Update::AddEmergency(user) => {
                self.emergency.insert(user, 0, 0).map_err(Error::map(maps::EMERGENCY))?;
            }
            Update::RemoveEmergency(user) => {
                self.emergency.remove(&user).map_err(Error::map(maps::EMERGENCY))?;
            }
        }
        self.contents.record(update);
        Ok(())
    }
}
