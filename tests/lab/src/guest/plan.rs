//! What a guest is to do, and what it says: the words that `cargo xtask kernels` and the guest have in common.

use serde::{Deserialize, Serialize};

/// Where the guest finds its files.
pub const PLAN: &str = "/plan.json";
/// The `sip-filter` to test.
pub const BINARY: &str = "/sip-filter";
/// The tests of the XDP program on single packets (`tests/integration/tests/kernel`).
pub const FIXTURES: &str = "/fixtures";
/// The folder of the modules to load, named so that their order is the order of their names.
pub const MODULES: &str = "/modules";

/// What a line begins with that is meant for xtask, among those of the kernel. The rest of it is a [`Said`] in JSON.
pub const MARK: &str = "@guest ";

/// I/O port of QEMU's `isa-debug-exit`, and what is written there if the guest has come to its end. QEMU's exit status
/// is then [`DONE_STATUS`]; a guest that panics makes another.
pub const EXIT_PORT: u64 = 0xf4;
/// See [`EXIT_PORT`].
pub const DONE: u8 = 0x10;
/// See [`EXIT_PORT`]: twice the value, plus one.
pub const DONE_STATUS: i32 = 33;

/// What a guest does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Whether the work of the verifier is counted.
    pub verify: bool,
    /// Whether the XDP program is run on single packets, which takes minutes.
    pub fixtures: bool,
    /// Whether the wire is the machine's two NICs; otherwise it is a veth pair.
    pub nics: bool,
    /// What is tried over the wire.
    pub cells: Vec<Cell>,
}

/// A cell of the matrix: one way of running the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// What it is called in the table.
    pub name: String,
    /// RX queues of the NIC; `None` leaves them as they are.
    pub queues: Option<u32>,
    /// What `sip-filter run` is told.
    pub arguments: Vec<String>,
    /// What has to come of it.
    pub expect: Expect,
}

/// What has to come of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Expect {
    /// It runs: calls are refused, calls that are up pass, and all pass when it is killed.
    Works {
        /// `native` or `generic`, as `status` says it.
        mode: String,
        /// `copy` or `zero-copy`, as `status` says it.
        socket: String,
        /// What the log has to say, each of it.
        log: Vec<String>,
        /// Whether the NIC spreads these calls over all of its queues, so that each has to answer some.
        spread: bool,
    },
    /// It ends at once, and says this.
    Refused {
        /// A part of what it says.
        saying: String,
    },
}

/// What the guest says of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Said {
    /// How many instructions the verifier went through.
    Verified(u64),
    /// The fixtures' last line, if all passed, or what failed.
    Fixtures(Result<String, String>),
    /// A cell, by name, and what it answered (calls refused), or what failed.
    Cell(String, Result<u64, String>),
    /// The guest could not do its work.
    Trouble(String),
}
