//! The product's program with its maps, run on packets by `BPF_PROG_TEST_RUN`.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use filter_common::maps::{Policy, QueueKey, QueueState};
use filter_common::sip::Method;
use filter_lab::af_xdp;
use filter_lab::namespace::Namespace;
use filter_user::dataplane::{Lists, Program};

use crate::programs;
use crate::tables::Tables;

/// Number of runs of a program on a packet at a time: some milliseconds.
const REPEAT: u32 = 25_000;
/// Index of the interface that `BPF_PROG_TEST_RUN` reports for a packet: the loopback interface, in every network
/// namespace.
pub(crate) const IFINDEX: u32 = 1;
/// Prefix of our To tags.
pub(crate) const TAG_PREFIX: &str = "benchtag";

/// The product's program with its maps.
pub(crate) struct Filter {
    program: Program,
    /// Bits of the lists ([`Policy::lists`]).
    lists: u32,
    /// Bits of the emergency numbers ([`Policy::emergency`]).
    emergency: [u64; 2],
    _dispatched: Namespace,
    /// Socket in the XSKMAP. The kernel removes it from there when it is closed.
    _socket: OwnedFd,
}

impl Filter {
    /// Loads the program as the daemon does, with `tables`, a socket in its slot, and a lease that does not expire.
    pub(crate) fn load(tables: &Tables) -> Result<Self> {
        let mut program = programs::filter()?;
        let lists = Lists::from(&tables.lists);
        program.lists().replace(&lists)?;
        program.take_ownership()?.write(tables.ownership.clone())?;
        let socket = af_xdp::bound_socket();
        program.set_socket(0, &socket)?;
        let lease = QueueState { redirect_until_ns: u64::MAX, socket: 0, reserved: 0 };
        program.queues()?.insert(QueueKey { ifindex: IFINDEX, queue: 0 }, lease, 0).context("grant a lease")?;
        let dispatched = programs::keep_dispatched(programs::filter_program(&mut program)?)?;
        Ok(Self {
            program,
            lists: lists.bits(tables.lists.scope.is_some()),
            emergency: lists.emergency_bits(),
            _dispatched: dispatched,
            _socket: socket,
        })
    }

    /// Returns the program.
    pub(crate) fn program(&mut self) -> Result<&mut Xdp> {
        programs::filter_program(&mut self.program)
    }

    /// Turns maintenance for INVITEs on or off.
    pub(crate) fn set_maintenance(&mut self, on: bool) -> Result<()> {
        let mut tag_prefix = [0; 8];
        tag_prefix.copy_from_slice(TAG_PREFIX.as_bytes());
        self.program.set_policy(Policy {
            maintenance: on.into(),
            methods: Method::Invite.bit(),
            percent: 100,
            lists: self.lists,
            tag_prefix: u64::from_le_bytes(tag_prefix),
            emergency: self.emergency,
            ..Policy::default()
        })?;
        Ok(())
    }

    /// Returns the average time of the program for the packet.
    pub(crate) fn nanoseconds(&mut self, packet: &[u8], action: u32) -> Result<f64> {
        nanoseconds(self.program()?, packet, action)
    }
}

/// Returns the average time of the program for the packet, as measured by the kernel in whole nanoseconds.
pub(crate) fn nanoseconds(program: &Xdp, packet: &[u8], action: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(packet), repeat: REPEAT, ..TestRunOptions::default() };
    let result = program.test_run(options).context("run BPF_PROG_TEST_RUN")?;
    ensure!(result.return_value == action, "XDP action {} instead of {action}", result.return_value);
    Ok(result.duration.as_nanos() as f64)
}
