//! Layouts of the maps between the benchmarks and their XDP programs. Both sides include this file.

/// Index at which `count` counts responses that begin with `SIP/2.0 503`.
pub(crate) const RESPONSES: u32 = 0;
/// Index at which `count` counts all other packets from the proxy's port.
pub(crate) const REFLECTED: u32 = 1;

/// Port of the proxy, and of the generator.
pub(crate) const PORT: u16 = 5060;

/// Maximum length of a frame in bytes: a power of two, and more than an MTU of 1500 allows.
pub(crate) const MAX_FRAME: usize = 2048;
/// Number of places in a frame that have the call's number: branch, From tag and Call-ID.
pub(crate) const PLACES: usize = 3;

/// A frame that is sent again and again, each time with another number in it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Template {
    /// Length of the frame in bytes.
    pub(crate) length: u32,
    /// Number of the last frame. The next one has this number plus one.
    pub(crate) number: u32,
    /// Offsets of the eight hexadecimal digits of the number, in bytes from the beginning of the frame.
    pub(crate) places: [u32; PLACES],
    /// The frame, with room for digits at its very end.
    pub(crate) frame: [u8; MAX_FRAME + 8],
}

/// Number of NICs that frames are sent into in rotation: a power of two.
pub(crate) const NICS: usize = 2;

/// The times and targets of a load. Times are in nanoseconds of `CLOCK_MONOTONIC`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Time between two frames.
    pub(crate) interval_ns: u64,
    /// Duration of the load.
    pub(crate) duration_ns: u64,
    /// Time at which the next frame is due. 0, before the first frame, means at once.
    pub(crate) next_ns: u64,
    /// Number of frames sent.
    pub(crate) sent: u64,
    /// Time of the first frame.
    pub(crate) first_ns: u64,
    /// Time of the last frame, or the end of the duration.
    pub(crate) last_ns: u64,
    /// Interface indices of the NICs. With one NIC, all are the same.
    pub(crate) nics: [u32; NICS],
}
