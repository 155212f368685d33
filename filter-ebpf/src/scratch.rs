//! What is known of the packet at hand, in this CPU's element of a map rather than on the stack.
//!
//! The stack has only 512 octets. And the verifier follows registers and stack value by value: each way on which a packet may
//! have come to a place (VLAN tags, extension headers, method) would be followed through all that comes after it. Of what is
//! read back from a map it knows nothing, so that the ways join again: a quarter of the instructions to verify.

use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;
use filter_common::sip::{Message, Method, Scan};
use filter_common::transaction::HASHED_BLOCK;

use crate::packet::{Packet, Source};

/// The most octets of a message, a power of two: [`MAX_FRAME`](filter_common::maps::MAX_FRAME) is less.
pub const BUFFER: usize = 4096;

/// How many octets of zero follow a message: a word may reach beyond its end, and so may a block of the scan or the hash.
const ZEROS: usize = HASHED_BLOCK as usize;

/// How many octets may be read after the longest message: as far as a `u8` reaches, and a word from there on.
const BEYOND: usize = 256 + 8;

/// The octets of the message, and [`ZEROS`] after them, from a multiple of eight on.
#[repr(C, align(8))]
pub struct Buffer([u8; BUFFER + BEYOND]);

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
        // SAFETY: `offset` is less than BUFFER, and the buffer goes on for more than 255 octets and a word after that.
        u64::from_le(unsafe { self.0.as_ptr().add(offset).add(further.into()).cast::<u64>().read_unaligned() })
    }

    #[inline(always)]
    fn octet_near(&self, offset: u32, further: u8) -> u8 {
        let offset = offset as usize & (BUFFER - 1);
        // SAFETY: `offset` is less than BUFFER, and the buffer goes on for more than 255 octets after that.
        unsafe { self.0.as_ptr().add(offset).add(further.into()).read() }
    }
}

/// What is known of the packet at hand.
#[repr(C)]
pub struct Scratch {
    packet: Packet,
    source: Source,
    method: u32,
    /// A [`Decision`](filter_common::sip::Decision) as a number.
    pub decision: u32,
    /// The scan of the message.
    pub scan: Scan,
    /// The message, once it has been loaded.
    pub message: Buffer,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

impl Scratch {
    /// This CPU's element, with the packet in it.
    #[inline(always)]
    pub fn of(packet: Packet) -> Option<&'static mut Self> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: the pointer is to this CPU's element, which nothing else uses while the program runs, which it does once
        // for each packet; all its fields are integers, of which any value is valid. Volatile, so that LLVM reads the
        // packet back from there and does not go on with what it has in registers.
        unsafe {
            (&raw mut (*scratch).packet).write_volatile(packet);
            Some(&mut *scratch)
        }
    }

    /// The packet.
    #[inline(always)]
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Where the packet comes from, once that has been noted.
    #[inline(always)]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Notes where the packet comes from.
    #[inline(always)]
    pub fn set_source(&mut self, source: Source) {
        // SAFETY: a reference is valid for writes. Volatile, as in `of`.
        unsafe { (&raw mut self.source).write_volatile(source) };
    }

    /// Notes the method.
    #[inline(always)]
    pub fn set_method(&mut self, method: Method) {
        // SAFETY: a reference is valid for writes. Volatile, as in `of`.
        unsafe { (&raw mut self.method).write_volatile(method as u32) }
    }

    /// Whether this was the method noted.
    #[inline(always)]
    pub fn is_method(&self, method: Method) -> bool {
        self.method == method as u32
    }

    /// Copies the message of the packet into the buffer. `None`: it is empty, or not all there.
    #[inline(always)]
    pub fn load(&mut self, ctx: &XdpContext) -> Option<()> {
        // One less goes through the mask: up to Linux 6.7 or so the verifier does not learn from a comparison with zero
        // that a number is at least one, which the helper wants (6.1: "R3 min value is outside of the allowed range").
        let length = bounded(self.packet.length.checked_sub(1)?) + 1;
        let buffer = (&raw mut self.message).cast::<u8>();
        // SAFETY: `length` is BUFFER at most, so that the copy, and the zeros after it, are within the buffer; it is
        // aligned for a u64, and the offsets of all zeros but the first ones are multiples of eight.
        unsafe {
            if bpf_xdp_load_bytes(ctx.ctx, self.packet.offset, buffer.cast(), length as u32) != 0 {
                return None;
            }
            buffer.add(length).cast::<u64>().write_unaligned(0);
            let aligned = buffer.add((length + 7) & (2 * BUFFER - 8)).cast::<u64>();
            for word in 0..ZEROS / 8 {
                // Volatile, or LLVM would make a call of them, to a function that writes octet by octet.
                aligned.add(word).write_volatile(0);
            }
        }
        Some(())
    }

    /// The first eight octets of the To tag, after the scan has found that there is one.
    #[inline(always)]
    pub fn tag(&self) -> u64 {
        self.message.word(self.scan.tag())
    }
}

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
