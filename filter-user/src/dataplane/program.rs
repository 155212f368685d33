//! The XDP program in the kernel: loading it, attaching it, and its maps.

use std::collections::HashSet;
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};
use filter_common::maps::{self, PortSet, QueueKey, QueueState};
use filter_common::sip::UserPart;
use filter_common::transaction_cache::SLOTS;
use filter_common::verdict::Verdict;

use super::ethtool::Channels;
use super::interface::{Interface, Link};
use super::{Error, Mode, kernel};
use crate::domain::{Exemption, Prefix};

/// The program as the build script has compiled it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sip_filter"));

/// The name of the program in the object and, cut to 15 octets, in the kernel.
const PROGRAM: &str = "sip_filter";

// A new set of exemptions is inserted before the old one is removed, so that an entry of both is never missing from the map.
// Each map therefore holds two sets: a full map would end the daemon.
const _: () = assert!(maps::MAX_BYPASS as usize >= 2 * Exemption::Bypass.max_in_force());
const _: () = assert!(maps::MAX_EMERGENCY as usize >= 2 * Exemption::Emergency.max_in_force());

/// The program, loaded and not attached, with the maps that belong to it.
pub struct Program {
    ebpf: Ebpf,
    policy: Array<MapData, maps::Policy>,
    sockets: XskMap<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    emergency: HashMap<MapData, UserPart, u32>,
    bypass_ipv4: LpmTrie<MapData, u32, u32>,
    bypass_ipv6: LpmTrie<MapData, [u64; 2], u32>,
}

/// What of the program is fixed when it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ProgramSettings<'a> {
    /// The UDP destination ports on which the proxy listens.
    pub ports: &'a [u16],
    /// How many transactions there is room for, of those that passed and of those that were refused; the next power of two.
    pub transactions: u32,
    /// The seed of the hash that tells transactions apart and draws the share that is refused: the same on all hosts of
    /// a cluster and after each start, or else a retransmission might meet another fate.
    pub hash_seed: u64,
    /// Whether the kernel side logs too (through `aya-log`). It is decided here and not later because the verifier
    /// then takes the log calls out of the program as dead code.
    pub debug: bool,
}

impl Program {
    /// Loads the program, with maintenance off.
    pub fn load(settings: &ProgramSettings<'_>) -> Result<Self, Error> {
        kernel::check()?;
        let level: u8 = if settings.debug { aya_log::Level::Debug as u8 } else { 0 };
        let buckets = settings.transactions.div_ceil(SLOTS as u32).next_power_of_two();
        let mut ebpf = EbpfLoader::new()
            .override_global(aya_log::LEVEL, &level, true)
            .override_global(maps::HASH_SEED, &settings.hash_seed, true)
            .override_global(maps::BUCKET_MASK, &(buckets - 1), true)
            .map_max_entries(maps::PASSED, buckets)
            .map_max_entries(maps::REFUSED, buckets)
            .load(OBJECT)
            .map_err(load_error)?;
        let program = xdp(&mut ebpf)?;
        program.load().map_err(|error| load_error(error.into()))?;

        let mut port_set: Array<_, PortSet> = map(&mut ebpf, maps::PORTS)?;
        port_set.set(0, settings.ports.iter().copied().collect::<PortSet>(), 0).map_err(map_error(maps::PORTS))?;
        Ok(Self {
            policy: map(&mut ebpf, maps::POLICY)?,
            sockets: map(&mut ebpf, maps::SOCKETS)?,
            verdicts: map(&mut ebpf, maps::VERDICTS)?,
            emergency: map(&mut ebpf, maps::EMERGENCY)?,
            bypass_ipv4: map(&mut ebpf, maps::BYPASS_IPV4)?,
            bypass_ipv6: map(&mut ebpf, maps::BYPASS_IPV6)?,
            ebpf,
        })
    }

    /// The object, for the kernel side's log and for running the program on packets of a test.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The program's id, by which `bpftool prog show id` finds it, and how many instructions the verifier went through.
    pub fn info(&mut self) -> Result<(u32, Option<u32>), Error> {
        let info = xdp(&mut self.ebpf)?.info().map_err(|error| load_error(error.into()))?;
        Ok((info.id(), info.verified_instruction_count()))
    }

    /// Puts `policy` in force.
    pub fn set_policy(&mut self, policy: maps::Policy) -> Result<(), Error> {
        self.policy.set(0, policy, 0).map_err(map_error(maps::POLICY))
    }

    /// Makes `users` the emergency numbers.
    pub fn set_emergency(&mut self, users: &HashSet<UserPart>) -> Result<(), Error> {
        replace_users(&mut self.emergency, users).map_err(map_error(maps::EMERGENCY))
    }

    /// Makes `prefixes` those from which calls are never refused.
    pub fn set_bypass(&mut self, prefixes: &HashSet<Prefix>) -> Result<(), Error> {
        let ipv4 = prefixes.iter().filter_map(Prefix::ipv4_key).collect();
        replace_prefixes(&mut self.bypass_ipv4, &ipv4).map_err(map_error(maps::BYPASS_IPV4))?;
        let ipv6 = prefixes.iter().filter_map(Prefix::ipv6_key).collect();
        replace_prefixes(&mut self.bypass_ipv6, &ipv6).map_err(map_error(maps::BYPASS_IPV6))
    }

    /// Puts a socket into the slot of a queue.
    pub fn set_socket(&mut self, slot: u32, socket: &impl AsRawFd) -> Result<(), Error> {
        self.sockets.set(slot, socket.as_raw_fd(), 0).map_err(map_error(maps::SOCKETS))
    }

    /// How many packets each verdict has been given so far, on all CPUs together.
    pub fn verdicts(&self) -> Result<Vec<(Verdict, u64)>, Error> {
        let count = |verdict: &Verdict| {
            let packets = self.verdicts.get(&(*verdict as u32), 0).map_err(map_error(maps::VERDICTS))?;
            Ok((*verdict, packets.iter().sum()))
        };
        Verdict::ALL.iter().map(count).collect()
    }

    /// A handle of its own to the leases, for a responder thread.
    pub fn queues(&self) -> Result<HashMap<MapData, QueueKey, QueueState>, Error> {
        let not_there = || Error::Map { map: maps::QUEUES, reason: "it is not in the object".to_owned() };
        let aya::maps::Map::HashMap(data) = self.ebpf.map(maps::QUEUES).ok_or_else(not_there)? else {
            return Err(not_there());
        };
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(|error| Error::Map {
            map: maps::QUEUES,
            reason: format!("cannot duplicate its descriptor: {error}"),
        })?;
        let data = MapData::from_fd(fd).map_err(map_error(maps::QUEUES))?;
        aya::maps::Map::HashMap(data).try_into().map_err(map_error(maps::QUEUES))
    }

    /// Attaches the program to `interface`. It is attached as long as the [`Attachment`] lives.
    ///
    /// `zero_copy`: its sockets are bound in zero-copy mode, for which the program has to run in the driver.
    pub(crate) fn attach(&mut self, interface: &Interface, mode: Mode, zero_copy: bool) -> Result<Attachment, Error> {
        let program = xdp(&mut self.ebpf)?;
        let fd = program.fd().map_err(|error| load_error(error.into()))?.as_fd();
        match mode {
            Mode::Generic => attach_in(GENERIC, fd, interface),
            Mode::Native => attach_in(NATIVE, fd, interface),
            Mode::Auto if zero_copy => attach_in(NATIVE, fd, interface),
            Mode::Auto => attach_in(NATIVE, fd, interface).or_else(|error| {
                if matches!(error, Error::Occupied { .. }) {
                    return Err(error);
                }
                tracing::warn!("{error}; attaching in generic mode, which is slower");
                attach_in(GENERIC, fd, interface)
            }),
        }
    }
}

/// Attaches in one mode, and looks whether the interface still has the queues for which there are responders.
fn attach_in(
    (mode, flags): (&'static str, u32),
    program: BorrowedFd<'_>,
    interface: &Interface,
) -> Result<Attachment, Error> {
    let link = link_create(program, interface.ifindex, flags).map_err(|source| {
        if is_occupied(&source) {
            return occupied(interface, source);
        }
        let hint = attach_hint(&source);
        Error::Attach { interface: interface.name.clone(), mode, source, hint }
    })?;
    // virtio_net opens spare queue pairs for XDP_TX when a program comes (`virtnet_xdp_set()`), and then receives on them.
    // There are no responders on these, and what a socket on them sends is lost.
    let Channels { rx: now, max_combined, .. } = interface.channels_now()?;
    if now > interface.rx_queues {
        let (interface, before) = (interface.name.clone(), interface.rx_queues);
        return Err(Error::QueuesAppeared { interface, before, now, most: now.max(max_combined) });
    }
    Ok(Attachment { _link: link })
}

/// A program on an interface. Dropping it detaches the program: the descriptor is the only reference to the link, so the
/// kernel does the same when the process dies in whatever way.
#[derive(Debug)]
pub struct Attachment {
    _link: OwnedFd,
}

const NATIVE: (&str, u32) = ("native", 1 << 2); // XDP_FLAGS_DRV_MODE
const GENERIC: (&str, u32) = ("generic", 1 << 1); // XDP_FLAGS_SKB_MODE

/// `BPF_LINK_CREATE` for XDP.
///
/// Our own call and not `aya::programs::Xdp::attach`, because that one turns to netlink where the kernel answers EINVAL,
/// and a program that is attached by netlink outlives the daemon.
fn link_create(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    /// The `link_create` member of `union bpf_attr` up to its flags; the kernel takes the rest for zero.
    #[repr(C)]
    struct LinkCreate {
        prog_fd: u32,
        target_ifindex: u32,
        attach_type: u32,
        flags: u32,
    }
    const BPF_LINK_CREATE: libc::c_long = 28;
    const BPF_XDP: u32 = 37;
    let attributes =
        LinkCreate { prog_fd: program.as_raw_fd() as u32, target_ifindex: ifindex, attach_type: BPF_XDP, flags };
    // SAFETY: bpf(2) reads as many octets of the attributes as it is told, and all of them are initialised.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const attributes, size_of::<LinkCreate>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has returned a descriptor that is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether another program is in the way: EBUSY for one that is attached, EEXIST for one in the other mode
/// (`dev_xdp_attach()` in `net/core/dev.c`).
fn is_occupied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

fn occupied(interface: &Interface, error: io::Error) -> Error {
    match interface.link() {
        Ok(Link { program: Some(found), .. }) => interface.occupied_by(&found),
        _ => Error::Attach { interface: interface.name.clone(), mode: "any", source: error, hint: "" },
    }
}

fn attach_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; it takes root, or CAP_NET_ADMIN and CAP_BPF",
        Some(libc::EOPNOTSUPP) => {
            "; the driver does not support it as it is set up, `--mode generic` (without `--zero-copy`) works with any"
        }
        Some(libc::EINVAL | libc::ENOSPC) => {
            "; the driver may have too few queues or too large an MTU for it (see `dmesg`)"
        }
        _ => "",
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let not_there = || Error::Load { reason: format!("the object has no XDP program {PROGRAM}"), hint: "" };
    ebpf.program_mut(PROGRAM).and_then(|program| program.try_into().ok()).ok_or_else(not_there)
}

/// Makes the keys of `map` be `users`: first what is new goes in, then what is no longer wanted goes out, so that what
/// stays is never missing.
fn replace_users(map: &mut HashMap<MapData, UserPart, u32>, users: &HashSet<UserPart>) -> Result<(), MapError> {
    let old: Vec<UserPart> = map.keys().collect::<Result<_, _>>()?;
    users.iter().try_for_each(|user| map.insert(user, 0, 0))?;
    old.iter().filter(|user| !users.contains(user)).try_for_each(|user| map.remove(user))
}

/// The same for the prefixes of a trie.
fn replace_prefixes<K: aya::Pod + Eq + Hash>(
    trie: &mut LpmTrie<MapData, K, u32>,
    prefixes: &HashSet<(u32, K)>,
) -> Result<(), MapError> {
    let old: Vec<Key<K>> = trie.keys().collect::<Result<_, _>>()?;
    prefixes.iter().try_for_each(|(length, data)| trie.insert(&Key::new(*length, *data), 0, 0))?;
    old.iter().filter(|key| !prefixes.contains(&(key.prefix_len(), key.data()))).try_for_each(|key| trie.remove(key))
}

/// Takes a map out of the object, as what it is.
fn map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map =
        ebpf.take_map(name).ok_or_else(|| Error::Map { map: name, reason: "it is not in the object".to_owned() })?;
    map.try_into().map_err(map_error(name))
}

fn map_error(map: &'static str) -> impl Fn(MapError) -> Error {
    move |error| Error::Map { map, reason: chain(&error) }
}

/// What loading takes.
const PRIVILEGES: &str = "; it takes root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";

fn load_error(error: EbpfError) -> Error {
    if let EbpfError::ProgramError(ProgramError::LoadError { io_error, verifier_log }) = &error {
        let log = verifier_log.to_string();
        tracing::debug!("the verifier's log:\n{log}");
        // EACCES is what the verifier says of a program that it does not like, and what a missing capability gives: then
        // there is no log.
        if let Some(objection) = objection(&log) {
            // What it says of pointer arithmetic where CAP_PERFMON is missing (`sanitize_ptr_alu()` in the verifier).
            let hint = if log.contains("prohibited for !root") { PRIVILEGES } else { "" };
            return Error::Load { reason: format!("{io_error}; the verifier: {objection}"), hint };
        }
    }
    let reason = chain(&error);
    let hint = if reason.contains("Operation not permitted") || reason.contains("Permission denied") {
        PRIVILEGES
    } else {
        ""
    };
    Error::Load { reason: reason.lines().next().unwrap_or_default().to_owned(), hint }
}

/// What the verifier objects to, from its log: the last lines before its statistics, where the program is rejected.
fn objection(log: &str) -> Option<String> {
    const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed "];
    let is_statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_statistics(line)).collect();
    let last = &lines[lines.len().saturating_sub(OBJECTION_LINES)..];
    (!last.is_empty()).then(|| last.join(" | "))
}

/// The instruction, and what is wrong with it; one more, for what led there.
const OBJECTION_LINES: usize = 3;

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}
