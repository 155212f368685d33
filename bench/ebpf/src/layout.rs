//! Layouts of the maps between the benchmarks and their XDP programs; both sides take in this file.

/// Where `count` counts responses that begin with `SIP/2.0 503`.
pub const ANSWERS: u32 = 0;
/// Where `count` counts what else comes from the proxy's port.
pub const REFLECTED: u32 = 1;

/// The port of the proxy, and of the generator.
pub const PORT: u16 = 5060;

/// The room for a frame, a power of two: more than an MTU of 1500 allows.
pub const MAX_FRAME: usize = 2048;
/// In how many places a frame has its number: branch, From tag and Call-ID.
pub const PLACES: usize = 3;

/// A frame that is sent over and over, each time with another number in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Template {
    /// Octets in the frame.
    pub length: u32,
    /// The number of the next one.
    pub number: u32,
    /// Where the eight hexadecimal digits of the number are, in octets from the beginning of the frame.
    pub places: [u32; PLACES],
    /// The frame, with room for digits at its very end.
    pub frame: [u8; MAX_FRAME + 8],
}

/// Into how many NICs frames go in turn; a power of two.
pub const NICS: usize = 2;

/// When frames are sent, and where. Times are in nanoseconds of `CLOCK_MONOTONIC`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Pace {
    /// From one frame to the next.
    pub interval_ns: u64,
    /// For how long frames are sent.
    pub duration_ns: u64,
    /// When the next one is due; 0: at once, for it is the first.
    pub next_ns: u64,
    /// How many were sent.
    pub sent: u64,
    /// When the first was sent.
    pub first_ns: u64,
    /// When the last was sent.
    pub last_ns: u64,
    /// The NICs, by their numbers; the same one again, if there are fewer.
    pub nics: [u32; NICS],
}
