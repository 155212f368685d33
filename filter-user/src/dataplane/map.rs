//! The maps of the XDP program.

use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Map, MapError};

use super::Error;

/// Time after which the XDP program has finished with a packet: some hundred times what it takes.
pub(super) const GRACE: Duration = Duration::from_millis(1);

/// Takes the map `name` out of the object, as a map of type `M`.
pub(super) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error>
where
    M: TryFrom<Map, Error = MapError>,
{
    ebpf.take_map(name).ok_or(Error::NoMap { map: name })?.try_into().map_err(Error::map(name))
}
