//! The XDP programs in the kernel: those of the benchmarks (`bench/ebpf`), and the product's.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapError};
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, Pod};
use filter_common::maps::DEFAULT_TRANSACTIONS;
use filter_lab::namespace::Namespace;
use filter_user::dataplane::{Program, ProgramSettings};

use crate::layout::{MAX_FRAME, PLACES, PORT, Pace, Template};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/filter_bench"));

/// What stands in a message where its number belongs: no message has it anywhere else.
pub(crate) const PLACEHOLDER: u32 = 0xdead_beef;

/// Where the number of a frame without one goes: behind it.
const BEYOND: u32 = MAX_FRAME as u32 - 8;

// SAFETY: `repr(C)`, of integers only, and without padding: each field is as aligned as the one after it wants.
unsafe impl Pod for Template {}
// SAFETY: as above.
unsafe impl Pod for Pace {}

/// The object with all programs. None of them is loaded yet.
pub(crate) fn load() -> Result<Ebpf> {
    Ebpf::load(OBJECT).context("load the XDP programs of the benchmarks: it takes root")
}

/// The product's program, loaded as the daemon loads it, with its maps.
pub(crate) fn filter() -> Result<Program> {
    let settings = ProgramSettings {
        ports: &[PORT],
        transactions: DEFAULT_TRANSACTIONS,
        hash_seed: 0x0123_4567_89ab_cdef,
        debug: false,
    };
    Ok(Program::load(&settings)?)
}

/// The product's program itself.
pub(crate) fn filter_program(filter: &mut Program) -> Result<&mut Xdp> {
    Ok(filter.ebpf().program_mut("sip_filter").context("the object has no sip_filter")?.try_into()?)
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

/// Has the kernel keep the loaded program among those that its dispatcher of XDP programs knows, by way of the loopback interface of a
/// host where nothing else goes on, as long as that host is there. Otherwise each `BPF_PROG_TEST_RUN` puts the program there and takes
/// it out again, and waits both times for all CPUs to have noticed (`bpf_dispatcher_update()`): some 30 ms.
pub(crate) fn keep_dispatched(program: &mut Xdp) -> Result<Namespace> {
    let host = Namespace::new();
    host.run(|| program.attach("lo", XdpMode::Skb)).context("attach a program to a loopback interface")?;
    Ok(host)
}

/// One of the maps; the caller keeps it as long as a program that works with it is still to be loaded.
pub(crate) fn map<M: TryFrom<aya::maps::Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<M> {
    let map = ebpf.take_map(name).with_context(|| format!("no map {name} in the object"))?;
    M::try_from(map).with_context(|| format!("the map {name}"))
}

/// Puts a frame into the map of the template. Its message has the number [`PLACEHOLDER`] in three places, or nowhere; the frames that
/// are made of it are numbered from `first` on.
///
/// The generator writes other numbers, so the frame must do without a UDP checksum ([`without_checksum`]).
pub(crate) fn set_template(ebpf: &mut Ebpf, frame: &[u8], first: u32) -> Result<()> {
    let placeholder = format!("{PLACEHOLDER:08x}").into_bytes();
    let found = frame.windows(placeholder.len()).enumerate().filter(|(_, octets)| *octets == placeholder);
    let places: Vec<u32> = found.map(|(place, _)| place as u32).collect();
    ensure!(frame.len() <= BEYOND as usize, "a frame of {} octets has no room in a template", frame.len());
    let count = places.len();
    let places = if count == 0 { vec![BEYOND; PLACES] } else { places };
    let places = places.try_into().ok().with_context(|| format!("{count} numbers in a frame, not {PLACES}"))?;
    let mut template = Template { length: frame.len() as u32, number: first, places, frame: [0; MAX_FRAME + 8] };
    template.frame[..frame.len()].copy_from_slice(frame);
    let templates = ebpf.map_mut("TEMPLATE").context("no map TEMPLATE in the object")?;
    Array::<_, Template>::try_from(templates)?.set(0, template, 0).context("the map TEMPLATE")
}

/// Takes the UDP checksum out of a frame with IPv4 and no options: zero means that there is none (RFC 768).
pub(crate) fn without_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    const UDP_CHECKSUM: usize = 14 + 20 + 6;
    frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
    frame
}
