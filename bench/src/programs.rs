//! The XDP programs of the benchmarks (`bench/ebpf`) in the kernel.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData, MapError};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, Pod};

use crate::layout::{MAX_FRAME, PLACES, Pace, Template};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/filter_bench"));

/// What stands in a message where its number belongs: no message has it anywhere else.
pub(crate) const PLACEHOLDER: u32 = 0xdead_beef;

// SAFETY: `repr(C)`, of integers only, and without padding: each field is as aligned as the one after it wants.
unsafe impl Pod for Template {}
// SAFETY: as above.
unsafe impl Pod for Pace {}

/// The object with all programs. None of them is loaded yet.
pub(crate) fn load() -> Result<Ebpf> {
    Ebpf::load(OBJECT).context("load the XDP programs of the benchmarks: it takes root")
}

/// One of the programs, loaded.
pub(crate) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no XDP program {name} in the object"))?;
    let program: &mut Xdp = program.try_into()?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
        Err(error) => Err(error).with_context(|| format!("load the XDP program {name}")),
    }
}

/// One of the maps.
pub(crate) fn map<M: TryFrom<aya::maps::Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).with_context(|| format!("no map {name} in the object"))?;
    M::try_from(map).with_context(|| format!("the map {name}"))
}

/// Puts a frame, whose message has the number [`PLACEHOLDER`], into the map of the template.
pub(crate) fn set_template(templates: &mut Array<MapData, Template>, frame: &[u8]) -> Result<()> {
    let placeholder = format!("{PLACEHOLDER:08x}").into_bytes();
    let found = frame.windows(placeholder.len()).enumerate().filter(|(_, octets)| *octets == placeholder);
    let places: Vec<u32> = found.map(|(place, _)| place as u32).collect();
    ensure!(frame.len() < MAX_FRAME, "a frame of {} octets has no room in a template", frame.len());
    let count = places.len();
    let places = places.try_into().ok().with_context(|| format!("{count} numbers in a frame, not {PLACES}"))?;
    let mut template = Template { length: frame.len() as u32, number: 0, places, frame: [0; MAX_FRAME + 8] };
    template.frame[..frame.len()].copy_from_slice(frame);
    templates.set(0, template, 0).context("the map TEMPLATE")
}
