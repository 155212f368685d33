//! A map from prefixes of both address families: two LPM tries in the kernel.

use aya::Ebpf;
use aya::maps::MapData;
use aya::maps::lpm_trie::{Key, LpmTrie};

use super::Error;
use super::map::take_map;
use crate::domain::Prefix;

/// A map from prefixes, by a trie for each address family.
pub(super) struct PrefixMap {
    ipv4: LpmTrie<MapData, u32, u32>,
    ipv6: LpmTrie<MapData, [u64; 2], u32>,
    names: [&'static str; 2],
}

impl PrefixMap {
    /// Takes the tries out of the object: that of IPv4, and that of IPv6.
    pub(super) fn take(ebpf: &mut Ebpf, names: [&'static str; 2]) -> Result<Self, Error> {
        let [ipv4, ipv6] = names;
        Ok(Self { ipv4: take_map(ebpf, ipv4)?, ipv6: take_map(ebpf, ipv6)?, names })
    }

    /// Inserts a prefix. Replaces its value if it is there.
    pub(super) fn insert(&mut self, prefix: Prefix, value: u32) -> Result<(), Error> {
        let [ipv4, ipv6] = self.names;
        if let Some((length, address)) = prefix.ipv4_key() {
            self.ipv4.insert(&Key::new(length, address), value, 0).map_err(Error::map(ipv4))?;
        }
        if let Some((length, address)) = prefix.ipv6_key() {
            self.ipv6.insert(&Key::new(length, address), value, 0).map_err(Error::map(ipv6))?;
        }
        Ok(())
    }

    /// Removes a prefix, which is in the map.
    pub(super) fn remove(&mut self, prefix: Prefix) -> Result<(), Error> {
        let [ipv4, ipv6] = self.names;
        if let Some((length, address)) = prefix.ipv4_key() {
            self.ipv4.remove(&Key::new(length, address)).map_err(Error::map(ipv4))?;
        }
        if let Some((length, address)) = prefix.ipv6_key() {
            self.ipv6.remove(&Key::new(length, address)).map_err(Error::map(ipv6))?;
        }
        Ok(())
    }
}
