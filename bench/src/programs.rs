//! Loads the XDP programs: those of the benchmarks (`bench/ebpf`), and the product's.
#![expect(unsafe_code, reason = "`Pod` is an unsafe trait")]

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapError};
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, Pod};
use filter_common::maps::DEFAULT_TRANSACTIONS;
use filter_lab::namespace::Namespace;
use filter_user::dataplane::{Program, ProgramSettings};
use filter_user::domain::Shielded;

use crate::layout::{MAX_FRAME, PLACES, PORT, Pace, Template};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/filter_bench"));

/// Number of a call whose digits mark the places for other numbers in a template. No message has them anywhere else.
pub(crate) const PLACEHOLDER: u32 = 0xdead_beef;

/// Place of the number for a frame without one: behind the frame.
const BEYOND: u32 = MAX_FRAME as u32 - 8;

// SAFETY: `repr(C)`, integers only, no padding: 2 × u32, 3 × u32, then 2056 bytes, which is a multiple of four.
unsafe impl Pod for Template {}
// SAFETY: `repr(C)`, integers only, no padding: 6 × u64, then 2 × u32.
unsafe impl Pod for Pace {}

/// Loads the object with the maps of the benchmarks. Its programs are loaded by [`program`].
pub(crate) fn load() -> Result<Ebpf> {
    Ebpf::load(OBJECT).context("load the XDP programs of the benchmarks, which requires root")
}

/// Loads the product's program with its maps, as the daemon does.
pub(crate) fn filter() -> Result<Program> {
    let settings = ProgramSettings {
        ports: &[PORT],
        transactions: DEFAULT_TRANSACTIONS,
        hash_seed: 0x0123_4567_89ab_cdef,
        shielded: &Shielded::Local,
        debug: false,
    };
    Ok(Program::load(&settings)?)
}

/// Returns the loaded program of the product.
pub(crate) fn filter_program(filter: &mut Program) -> Result<&mut Xdp> {
    Ok(filter.ebpf().program_mut("sip_filter").context("the object has no sip_filter")?.try_into()?)
}

/// Returns a program of the benchmarks, and loads it if it is not loaded yet.
pub(crate) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no XDP program {name} in the object"))?;
    let program: &mut Xdp = program.try_into()?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
        Err(error) => Err(error).with_context(|| format!("load the XDP program {name}")),
    }
}

/// Keeps the loaded program in the kernel's XDP dispatcher for as long as the returned namespace lives: attaches it to
/// the loopback interface there, where no packets are.
///
/// Otherwise each `BPF_PROG_TEST_RUN` adds the program to the dispatcher and removes it again, and waits both times for
/// an RCU grace period (`bpf_dispatcher_update()`): some 30 ms.
pub(crate) fn keep_dispatched(program: &mut Xdp) -> Result<Namespace> {
    let host = Namespace::new();
    host.run(|| program.attach("lo", XdpMode::Skb)).context("attach a program to a loopback interface")?;
    Ok(host)
}

/// Takes a map out of the object. The caller has to keep it until all programs that use it are loaded.
pub(crate) fn map<M: TryFrom<aya::maps::Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).with_context(|| format!("no map {name} in the object"))?;
    M::try_from(map).with_context(|| format!("open the map {name}"))
}

/// Sets `frame` as the template. The numbers of the frames that are created from it follow `first`.
///
/// The message has the number [`PLACEHOLDER`] in [`PLACES`] places, or nowhere. As the numbers change, the frame must
/// not have a UDP checksum ([`without_checksum`]).
pub(crate) fn set_template(ebpf: &mut Ebpf, frame: &[u8], first: u32) -> Result<()> {
    let placeholder = format!("{PLACEHOLDER:08x}").into_bytes();
    let found = frame.windows(placeholder.len()).enumerate().filter(|(_, bytes)| *bytes == placeholder);
    let places: Vec<u32> = found.map(|(place, _)| place as u32).collect();
    ensure!(frame.len() <= BEYOND as usize, "a frame of {} bytes does not fit into a template", frame.len());
    let count = places.len();
    let places = if count == 0 { vec![BEYOND; PLACES] } else { places };
    let places = places.try_into().ok().with_context(|| format!("a frame has {count} numbers instead of {PLACES}"))?;
    let mut template = Template { length: frame.len() as u32, number: first, places, frame: [0; MAX_FRAME + 8] };
    template.frame[..frame.len()].copy_from_slice(frame);
    let templates = ebpf.map_mut("TEMPLATE").context("no map TEMPLATE in the object")?;
    Array::<_, Template>::try_from(templates)?.set(0, template, 0).context("write the map TEMPLATE")
}

/// Clears the UDP checksum of a frame with IPv4 and no options. Zero means that there is no checksum (RFC 768).
pub(crate) fn without_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    const UDP_CHECKSUM: usize = 14 + 20 + 6;
    frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
    frame
}
