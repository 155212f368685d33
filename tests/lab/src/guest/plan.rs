//! The plan of a guest and its reports, which `cargo xtask kernels` and the guest exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Path of the plan in the guest.
pub const PLAN: &str = "/plan.json";
/// Path of the `sip-filter` to test.
pub const BINARY: &str = "/sip-filter";
/// Path of the tests of the XDP program on single packets (`tests/integration/tests/kernel`).
pub const FIXTURES: &str = "/fixtures";
/// Folder of the modules to load. Their names sort in the order in which they have to be loaded.
pub const MODULES: &str = "/modules";

/// Start of a console line for xtask, among those of the kernel. The rest of the line is a [`GuestReport`] in JSON.
pub const REPORT_PREFIX: &str = "@guest ";

/// I/O port of QEMU's `isa-debug-exit`.
///
/// A guest that has finished writes [`DONE`] to this port, and QEMU exits with [`DONE_STATUS`]. If the guest panics,
/// QEMU exits with another status.
pub const EXIT_PORT: u64 = 0xf4;
/// Value for [`EXIT_PORT`].
pub const DONE: u8 = 0x10;
/// QEMU's exit status for [`DONE`]: twice the value, plus one.
pub const DONE_STATUS: i32 = 33;

/// The work of a guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Counts the instructions that the verifier goes through.
    pub verify: bool,
    /// Runs the XDP program on single packets, which takes minutes.
    pub fixtures: bool,
    /// Uses the machine's two NICs as the wire, and not a veth pair.
    pub nics: bool,
    /// The cells to run over the wire.
    pub cells: Vec<Cell>,
    /// Names of the scenarios to run after the cells.
    pub scenarios: Vec<String>,
}

/// A cell of the matrix: one way of running the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Name in the table.
    pub name: String,
    /// Number of RX queues of the NIC; `None` leaves it unchanged.
    pub queues: Option<u32>,
    /// Arguments of `sip-filter run`.
    pub arguments: Vec<String>,
    /// Expected result.
    pub expect: Expect,
}

/// The expected result of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Expect {
    /// The daemon runs: new calls are refused, established calls pass, and all calls pass when it is killed.
    Works {
        /// `native` or `generic`, as in `status`.
        mode: String,
        /// `copy` or `zero-copy`, as in `status`.
        socket: String,
        /// Texts that the log must contain.
        log: Vec<String>,
        /// Requires that each queue answers some calls, since the NIC spreads them over all queues.
        spread: bool,
    },
    /// The daemon does not start.
    Rejects {
        /// A part of its error message.
        error: String,
    },
}

/// A report of a guest on one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum GuestReport {
    /// Number of instructions that the verifier went through.
    Verified(u64),
    /// The last line of the fixtures if all passed, or their log.
    Fixtures(Result<String, String>),
    /// The name of a cell, and the number of calls that it refused, or the failure.
    Cell(String, Result<u64, String>),
    /// The name of a scenario, and the time that it took, or the failure.
    Scenario(String, Result<Duration, String>),
    /// The reason why the guest could not run its plan.
    Failed(String),
}
