//! Takes maps out of the object of the XDP program.

use aya::Ebpf;
use aya::maps::{Map, MapError};

use super::Error;

/// Takes the map `name` out of the object, as a map of type `M`.
pub(super) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error>
where
    M: TryFrom<Map, Error = MapError>,
{
    ebpf.take_map(name).ok_or(Error::NoMap { map: name })?.try_into().map_err(Error::map(name))
}
