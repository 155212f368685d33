//! The XDP program in the kernel, and its maps.

use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::sync::Arc;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, XskMap};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};
use filter_common::maps::{self, PortSet, QueueKey, QueueState};
use filter_common::transaction_cache::SLOTS;
use filter_common::verdict::Verdict;

use super::Error;
use super::list_maps::ListMaps;
use super::load_error::LoadError;
use super::map::take_map;
use super::ownership_maps::OwnershipMaps;
use crate::domain::Shielded;

/// The object file that the build script has compiled.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sip_filter"));

/// Name of the program in the object and, cut to 15 bytes, in the kernel.
const PROGRAM: &str = "sip_filter";

/// The XDP program, loaded and not attached, with its maps.
pub struct Program {
    ebpf: Ebpf,
    policy: Array<MapData, maps::Policy>,
    /// Generation of the policy that was written last.
    generation: u32,
    sockets: XskMap<MapData>,
    verdicts: Arc<VerdictCounters>,
    lists: ListMaps,
    /// `None` once it has been taken.
    ownership: Option<OwnershipMaps>,
}

/// Settings of the program that are fixed when it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ProgramSettings<'a> {
    /// UDP destination ports on which the proxy listens.
    pub ports: &'a [u16],
    /// Number of transactions to remember of each kind, passed and refused. It is rounded up to a power of two.
    pub transactions: u32,
    /// Seed of the hash that identifies transactions and draws the share of refused calls. It is the same on all hosts
    /// of a cluster and after each start, or a retransmission might be decided differently.
    pub hash_seed: u64,
    /// Destination addresses whose calls are refused.
    pub shielded: &'a Shielded,
    /// True if the XDP program logs (through `aya-log`). Fixed at this point because the verifier then removes the log
    /// calls as dead code.
    pub debug: bool,
}

/// Counters of packets by verdict.
pub struct VerdictCounters(PerCpuArray<MapData, u64>);

impl VerdictCounters {
    /// Returns the number of packets for each verdict so far, on all CPUs together.
    pub fn read(&self) -> Result<Vec<(Verdict, u64)>, Error> {
        let count = |verdict: &Verdict| {
            let packets = self.0.get(&(*verdict as u32), 0).map_err(Error::map(maps::VERDICTS))?;
            Ok((*verdict, packets.iter().sum()))
        };
        Verdict::ALL.iter().map(count).collect()
    }
}

impl Program {
    /// Loads the program, with maintenance off.
    pub fn load(settings: &ProgramSettings<'_>) -> Result<Self, Error> {
        let level: u8 = if settings.debug { aya_log::Level::Debug as u8 } else { 0 };
        let buckets = settings.transactions.div_ceil(SLOTS as u32).next_power_of_two();
        let mut ebpf = EbpfLoader::new()
            .override_global(aya_log::LEVEL, &level, true)
            .override_global(maps::HASH_SEED, &settings.hash_seed, true)
            .override_global(maps::ADDRESS_RULE, &rule(settings.shielded), true)
            .override_global(maps::BUCKET_MASK, &(buckets - 1), true)
            .map_max_entries(maps::PASSED, buckets)
            .map_max_entries(maps::REFUSED, buckets)
            .load(OBJECT)
            .map_err(Error::load)?;
        let program = xdp(&mut ebpf)?;
        program.load().map_err(Error::load)?;

        let mut port_set: Array<_, PortSet> = take_map(&mut ebpf, maps::PORTS)?;
        port_set.set(0, settings.ports.iter().copied().collect::<PortSet>(), 0).map_err(Error::map(maps::PORTS))?;
        Ok(Self {
            policy: take_map(&mut ebpf, maps::POLICY)?,
            generation: 0,
            sockets: take_map(&mut ebpf, maps::SOCKETS)?,
            verdicts: Arc::new(VerdictCounters(take_map(&mut ebpf, maps::VERDICTS)?)),
            lists: ListMaps::take(&mut ebpf)?,
            ownership: Some(OwnershipMaps::take(&mut ebpf, settings.shielded)?),
            ebpf,
        })
    }

    /// Returns the object: for the kernel's log, and for running the program on a test's packets.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Returns the program's id (`bpftool prog show id`), and the number of instructions that the
    /// verifier processed.
    pub fn info(&mut self) -> Result<(u32, Option<u32>), Error> {
        let info = xdp(&mut self.ebpf)?.info().map_err(Error::load)?;
        Ok((info.id(), info.verified_instruction_count()))
    }

    /// Writes the policy, by which the next packet is decided, as a new [generation](maps::Policy::generation).
    pub fn set_policy(&mut self, policy: maps::Policy) -> Result<(), Error> {
        self.generation = self.generation.wrapping_add(1);
        let policy = maps::Policy { generation: self.generation, ..policy };
        self.policy.set(0, policy, 0).map_err(Error::map(maps::POLICY))
    }

    /// Returns the policy in the kernel's map.
    #[cfg(test)]
    pub(super) fn policy(&self) -> maps::Policy {
        self.policy.get(&0, 0).unwrap()
    }

    /// Returns the maps of bypass prefixes, emergency numbers and the scope.
    pub fn lists(&mut self) -> &mut ListMaps {
        &mut self.lists
    }

    /// Takes the maps of what is this host's, which are empty at first. They can be taken once.
    pub fn take_ownership(&mut self) -> Result<OwnershipMaps, Error> {
        self.ownership.take().ok_or(Error::NoMap { map: maps::INTERFACES })
    }

    /// Returns a descriptor of the program, by which it is attached.
    pub(super) fn descriptor(&mut self) -> Result<OwnedFd, Error> {
        let program = xdp(&mut self.ebpf)?.fd().map_err(Error::load)?;
        program.as_fd().try_clone_to_owned().map_err(|error| Error::load(ProgramError::IOError(error)))
    }

    /// Writes a socket into the slot `slot` of the XSKMAP.
    pub fn set_socket(&mut self, slot: u32, socket: &impl AsRawFd) -> Result<(), Error> {
        self.sockets.set(slot, socket.as_raw_fd(), 0).map_err(Error::map(maps::SOCKETS))
    }

    /// Returns a handle to the counters of verdicts, which can be read while the program is in use.
    pub fn verdicts(&self) -> Arc<VerdictCounters> {
        Arc::clone(&self.verdicts)
    }

    /// Returns a handle of its own to the leases, for a responder thread.
    pub fn queues(&self) -> Result<HashMap<MapData, QueueKey, QueueState>, Error> {
        let Some(Map::HashMap(data)) = self.ebpf.map(maps::QUEUES) else {
            return Err(Error::NoMap { map: maps::QUEUES });
        };
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(Error::map(maps::QUEUES))?;
        let data = MapData::from_fd(fd).map_err(Error::map(maps::QUEUES))?;
        Map::HashMap(data).try_into().map_err(Error::map(maps::QUEUES))
    }
}

/// Returns the value of [`maps::ADDRESS_RULE`].
const fn rule(shielded: &Shielded) -> u32 {
    match shielded {
        Shielded::Local => maps::ADDRESS_RULE_LOCAL,
        Shielded::Any => maps::ADDRESS_RULE_ANY,
        Shielded::Prefixes(_) => maps::ADDRESS_RULE_PREFIXES,
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let missing = Error::Load { source: LoadError::NoProgram(PROGRAM), hint: "" };
    ebpf.program_mut(PROGRAM).and_then(|program| program.try_into().ok()).ok_or(missing)
}
