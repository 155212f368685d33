//! Drives the scan of `filter-common` over the message of a frame.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::{bpf_loop, bpf_xdp_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;
use filter_common::sip::{Decision, Message, Scan, User};

use crate::packet::Packet;

/// The size of the buffer, a power of two: more than any message that is scanned, since
/// [`MAX_FRAME`](filter_common::maps::MAX_FRAME) is less.
const BUFFER: usize = 4096;

/// A scan takes fewer turns than three for each octet ([`Scan::turn`]).
const MAX_TURNS: u32 = 3 * BUFFER as u32;

/// A message under scan. It lies in a map and not on the stack, which has only 512 octets.
#[repr(C)]
pub struct Scratch {
    scan: Scan,
    /// [`Decision`] as a number, once there is one.
    decision: u32,
    message: Buffer,
}

/// The octets of the message, followed by at least eight octets of zero.
#[repr(C, align(8))]
pub struct Buffer([u8; BUFFER + 8]);

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

impl Message for Buffer {
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        let offset = offset as usize & (BUFFER - 1);
        // SAFETY: `offset` is less than BUFFER, and eight octets follow it in a buffer of BUFFER + 8.
        u64::from_le(unsafe { self.0.as_ptr().add(offset).cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    fn octet(&self, offset: u32) -> u8 {
        let offset = offset as usize & (BUFFER - 1);
        // SAFETY: `offset` is less than BUFFER.
        unsafe { self.0.as_ptr().add(offset).read() }
    }
}

/// A message that has been copied into this CPU's buffer.
pub struct Loaded {
    scratch: *mut Scratch,
    length: u32,
}

impl Loaded {
    /// Copies the message of the packet into the buffer. `None`: it is empty, or not all there.
    #[inline(always)]
    pub fn load(ctx: &XdpContext, packet: &Packet) -> Option<Self> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // One less goes through the mask: up to Linux 6.7 or so the verifier does not learn from a comparison with zero
        // that a number is at least one, which the helper wants (6.1: "R3 min value is outside of the allowed range").
        let length = bounded(packet.length.checked_sub(1)?) + 1;
        // SAFETY: `scratch` points to this CPU's element, which nothing else uses while the program runs; `length` is
        // BUFFER at most, so that the copy, and eight octets after it, are within the buffer.
        unsafe {
            let buffer = (&raw mut (*scratch).message).cast::<u8>();
            if bpf_xdp_load_bytes(ctx.ctx, packet.offset, buffer.cast(), length as u32) != 0 {
                return None;
            }
            buffer.add(length).cast::<u64>().write_unaligned(0);
        }
        Some(Self { scratch, length: length as u32 })
    }

    /// The message.
    #[inline(always)]
    pub fn octets(&self) -> &Buffer {
        // SAFETY: `scratch` points to this CPU's element, which nothing else uses while the program runs.
        unsafe { &(*self.scratch).message }
    }

    /// Decides on the request, whose method and the space after it have `method` octets.
    #[inline(always)]
    pub fn decide(&mut self, method: u32) -> Decision {
        // SAFETY: as in `octets`.
        unsafe {
            (*self.scratch).scan = Scan::new(method, self.length);
            (*self.scratch).decision = UNDECIDED;
        }
        let mut turns = Turns { scratch: self.scratch };
        // SAFETY: `turn` has the signature that bpf_loop calls (`long (u32 index, void *ctx)`), and `turns` outlives the
        // call. Should the helper fail, there is no decision.
        unsafe { bpf_loop(MAX_TURNS, turn as *mut c_void, (&raw mut turns).cast(), 0) };
        // SAFETY: as in `octets`.
        match unsafe { (*self.scratch).decision } {
            NEW => Decision::New,
            IN_DIALOG => Decision::InDialog,
            EMERGENCY => Decision::Emergency,
            REPLACES => Decision::Replaces,
            _ => Decision::Undecided,
        }
    }

    /// The user part of the Request-URI, after [`Loaded::decide`].
    #[inline(always)]
    pub fn user(&self) -> &User {
        // SAFETY: as in `octets`.
        unsafe { (*self.scratch).scan.user() }
    }

    /// The first eight octets of the To tag, after [`Loaded::decide`] has found that there is one.
    #[inline(always)]
    pub fn tag(&self) -> u64 {
        // SAFETY: as in `octets`.
        let tag = unsafe { (*self.scratch).scan.tag() };
        self.octets().word(tag)
    }
}

// Decisions as numbers.
const UNDECIDED: u32 = 0;
const NEW: u32 = 1;
const IN_DIALOG: u32 = 2;
const EMERGENCY: u32 = 3;
const REPLACES: u32 = 4;

/// `length`, less than [`BUFFER`] in the verifier's eyes too.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn bounded(length: u32) -> usize {
    let mut length = u64::from(length);
    // SAFETY: one instruction on one register. LLVM would leave the mask out, since it knows the range already from
    // comparisons that the verifier has forgotten by then.
    unsafe { core::arch::asm!("{0} &= 0xfff", inout(reg) length) };
    length as usize
}

#[cfg(not(target_arch = "bpf"))]
fn bounded(length: u32) -> usize {
    length as usize & (BUFFER - 1)
}

/// What `turn` works on, on the stack, as `bpf_loop` wants it.
struct Turns {
    scratch: *mut Scratch,
}

/// One turn of the scan; the callback of `bpf_loop`, where 1 ends the loop.
unsafe extern "C" fn turn(_index: u64, turns: *mut Turns) -> i64 {
    // SAFETY: `bpf_loop` passes on the pointer that `decide` gave it, to a `Turns` whose `scratch` is this CPU's element.
    let scratch = unsafe { &mut *(*turns).scratch };
    match scratch.scan.turn(&scratch.message) {
        None => return 0,
        Some(Decision::New) => scratch.decision = NEW,
        Some(Decision::InDialog) => scratch.decision = IN_DIALOG,
        Some(Decision::Emergency) => scratch.decision = EMERGENCY,
        Some(Decision::Replaces) => scratch.decision = REPLACES,
        Some(Decision::Undecided) => scratch.decision = UNDECIDED,
    }
    1
}
