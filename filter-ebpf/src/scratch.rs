//! The state of the current packet, in this CPU's element of a map rather than on the stack.
//!
//! The stack has only 512 bytes. Moreover, the verifier tracks values in registers and on the stack. It would follow
//! each path by which a packet can reach a point (VLAN tags, extension headers, method) through all the code after it.
//! It knows nothing about a value that is read back from a map, so the paths join there. This saves three quarters of
//! the instructions that it verifies.
#![expect(unsafe_code, reason = "a map element is lent as a reference, and filled by a helper and by volatile writes")]

use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;
use filter_common::sip::{BodyScan, Message, Method, Scan};
use filter_common::transaction::HASHED_BLOCK;
use zerocopy::FromBytes;

use crate::packet::{Endpoints, Packet};

/// Maximum length of a message in bytes, a power of two above [`MAX_FRAME`](filter_common::maps::MAX_FRAME).
pub(crate) const BUFFER: usize = 4096;

/// Number of zero bytes after a message: a word may extend beyond its end, and so may a block of the scan or the hash.
const ZEROS: usize = HASHED_BLOCK as usize;

/// Number of bytes after the longest message that may be read: the range of a `u8`, and a word from there on.
const BEYOND: usize = 256 + 8;

/// The message and the [`ZEROS`] after it.
#[repr(C, align(8))]
#[derive(FromBytes)]
pub(crate) struct Buffer([u8; BUFFER + BEYOND]);

// The scan reads blocks of four words.
const _: () = assert!(ZEROS >= size_of::<[u64; 4]>() && ZEROS + 8 <= BEYOND);

impl Message for Buffer {
    #[inline(always)]
    fn word(&self, offset: u32) -> u64 {
        self.word_near(offset, 0)
    }

    #[inline(always)]
    fn word_near(&self, offset: u32, further: u8) -> u64 {
        let offset = offset as usize & (BUFFER - 1);
        // SAFETY: `offset` is below BUFFER, and the buffer extends at least 255 bytes and a word beyond that.
        u64::from_le(unsafe { self.0.as_ptr().add(offset).add(further.into()).cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    fn byte_near(&self, offset: u32, further: u8) -> u8 {
        let offset = offset as usize & (BUFFER - 1);
        // SAFETY: `offset` is below BUFFER, and the buffer extends at least 256 bytes beyond that.
        unsafe { self.0.as_ptr().add(offset).add(further.into()).read() }
    }
}

/// The state of the current packet.
#[repr(C)]
#[derive(FromBytes)]
pub(crate) struct Scratch {
    packet: Packet,
    endpoints: Endpoints,
    /// The [`Method`] as a number.
    method: u32,
    /// The [`Decision`](filter_common::sip::Decision) as a number.
    pub(crate) decision: u32,
    /// The scan of the message.
    pub(crate) scan: Scan,
    /// The search for the length of the body.
    pub(crate) body_scan: BodyScan,
    /// The length of the body that the message announces, in bytes; 0 if it is unknown.
    pub(crate) announced: u32,
    /// Nonzero if the program runs in generic mode on the interface.
    is_generic: u32,
    /// The message, once it is loaded.
    pub(crate) message: Buffer,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

impl Scratch {
    /// Stores the current packet in this CPU's element and returns the element.
    #[inline(always)]
    pub(crate) fn new(packet: Packet) -> Option<&'static mut Self> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: the pointer is to this CPU's element. Nothing else uses it while the program runs, and the program
        // calls this function once. Any content is valid (`FromBytes`). Volatile, so that LLVM reads the packet back
        // from the map and does not go on with the values in registers.
        unsafe {
            (&raw mut (*scratch).packet).write_volatile(packet);
            Some(&mut *scratch)
        }
    }

    /// Returns the current packet.
    #[inline(always)]
    pub(crate) fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Returns the endpoints of the packet, which have to be set before.
    #[inline(always)]
    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Stores the endpoints of the packet.
    #[inline(always)]
    pub(crate) fn set_endpoints(&mut self, endpoints: Endpoints) {
        // SAFETY: a reference is valid for writes. Volatile, as in `new`.
        unsafe { (&raw mut self.endpoints).write_volatile(endpoints) };
    }

    /// Stores the method of the request.
    #[inline(always)]
    pub(crate) fn set_method(&mut self, method: Method) {
        // SAFETY: a reference is valid for writes. Volatile, as in `new`.
        unsafe { (&raw mut self.method).write_volatile(method as u32) }
    }

    /// Stores whether the program runs in generic mode on the interface.
    #[inline(always)]
    pub(crate) fn set_generic(&mut self, is_generic: bool) {
        // SAFETY: a reference is valid for writes. Volatile, as in `new`.
        unsafe { (&raw mut self.is_generic).write_volatile(is_generic.into()) }
    }

    /// Returns whether the program runs in generic mode on the interface.
    #[inline(always)]
    pub(crate) fn is_generic(&self) -> bool {
        self.is_generic != 0
    }

    /// Returns whether the request has this method.
    #[inline(always)]
    pub(crate) fn is_method(&self, method: Method) -> bool {
        self.method == method as u32
    }

    /// Copies the message of the packet into the buffer. Returns `None` if it is empty or not all in the frame.
    #[inline(always)]
    pub(crate) fn load(&mut self, ctx: &XdpContext) -> Option<()> {
        // The helper requires a length of at least one. Up to about Linux 6.7 the verifier does not learn that from a
        // comparison with zero (6.1: "R3 min value is outside of the allowed range"), but it does from this sum.
        let length = bounded(self.packet.length().checked_sub(1)?) + 1;
        let buffer = (&raw mut self.message).cast::<u64>();
        // SAFETY: `length` is at most BUFFER, so the copy and the zeros after it are within the buffer. The buffer is
        // aligned for `u64`, and so are all zeros but the first ones, whose offsets are multiples of eight.
        unsafe {
            if bpf_xdp_load_bytes(ctx.ctx, self.packet.offset(), buffer.cast(), length as u32) != 0 {
                return None;
            }
            buffer.byte_add(length).write_unaligned(0);
            let aligned = buffer.byte_add((length + 7) & (2 * BUFFER - 8));
            for word in 0..ZEROS / 8 {
                // Volatile, or LLVM would replace the loop with a call to a function that writes byte by byte.
                aligned.add(word).write_volatile(0);
            }
        }
        Some(())
    }

    /// Returns the first eight bytes of the To tag as a word, after the scan has found a tag.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u64 {
        self.message.word(self.scan.tag())
    }
}

/// Returns `length`, bounded below [`BUFFER`] in a way that the verifier sees.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn bounded(length: u32) -> usize {
    let mut length = u64::from(length);
    // SAFETY: one instruction on one register. LLVM would omit the mask, since it knows the range from comparisons that
    // the verifier has forgotten here.
    unsafe { core::arch::asm!("{0} &= 0xfff", inout(reg) length) };
    length as usize
}

#[cfg(not(target_arch = "bpf"))]
fn bounded(length: u32) -> usize {
    length as usize & (BUFFER - 1)
}
