//! Errors of the data plane, in words for the person who has to fix them.
//!
//! If an option of `sip-filter run` helps, the text names it. The data plane knows these names, and nothing else of the
//! command line, so that the log, `doctor` and `run` print the same text.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use aya::EbpfError;
use aya::maps::MapError;

use super::kernel;
use super::load_error::{LoadError, with_causes};
use crate::network::XdpProgram;

/// An error of the data plane. Whatever failed, traffic continues: without a program, a lease or a socket, the kernel
/// passes every packet.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum Error {
    /// The kernel lacks a helper of the XDP program.
    #[error(
        "this kernel is {found} and has no BPF helper {helper}: sip-filter needs Linux 6.1 or newer, or a \
         distribution's kernel with BPF of that age (as Enterprise Linux 9 has)"
    )]
    KernelTooOld { found: String, helper: &'static str },
    /// No interface has the name.
    #[error("interface {interface}: there is none of that name in this network namespace (`ip link` lists them)")]
    NoInterface { interface: String },
    /// The interface has no MAC address.
    #[error(
        "interface {interface} is not Ethernet{kind}: sip-filter answers calls in Ethernet frames; name the interface \
         on which these arrive",
        kind = kind.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default()
    )]
    NotEthernet { interface: String, kind: Option<String> },
    /// The bond or team has no ports.
    #[error("interface {interface}: it has no ports yet; calls are refused on them once they join it")]
    NoPorts { interface: String },
    /// The queues of the interface cannot be read.
    #[error("interface {interface}: cannot read its number of queues: {source}")]
    Channels { interface: String, source: io::Error },
    /// A reply leaves by the TX queue with the number of the RX queue, so there has to be one.
    #[error(
        "interface {interface} has {rx} RX queues but only {tx} TX queues: replies from the others could not be sent; \
         make them equal, as with `ethtool -L {interface} rx {tx}`"
    )]
    TooFewTxQueues { interface: String, rx: u32, tx: u32 },
    /// More queues than the maps have room for.
    #[error(
        "the interfaces have more RX queues than the {max} that can be served; use fewer: `ethtool -L IF combined N`",
        max = filter_common::maps::MAX_QUEUES
    )]
    TooManyQueues,
    /// The kernel rejected the program or its maps.
    #[error("cannot load the XDP program into the kernel: {source}{hint}")]
    Load { source: LoadError, hint: &'static str },
    /// The program has no map of this name and kind.
    #[error("BPF map {map}: the program has none of that name and kind")]
    NoMap { map: &'static str },
    /// A map cannot be opened, read or written.
    #[error("BPF map {map}: {}", with_causes(source))]
    Map { map: &'static str, source: MapError },
    /// Another program is attached to the interface.
    #[error(
        "interface {interface}: XDP program {program} is attached to it already and is left alone; if it is another \
         sip-filter, stop that one first (`bpftool net show dev {interface}` shows it)"
    )]
    Occupied { interface: String, program: String },
    /// Another program is attached to a device above or below the interface.
    #[error(
        "interface {interface}: an XDP program is attached to {other}, and the kernel allows only one of them: {program}"
    )]
    RelativeOccupied { interface: String, other: String, program: String },
    /// In native mode, the driver would lose frames.
    #[error(
        "interface {interface}: in native mode its driver virtio_net loses frames at an MTU above {most} on this \
         kernel, and its MTU is {mtu}: `ip link set {interface} mtu {most}`, or a kernel from Linux 6.3 on"
    )]
    NativeMtu { interface: String, mtu: u32, most: u32 },
    /// The kernel or the driver rejected the program.
    #[error("interface {interface}: cannot attach the XDP program in {mode} mode: {source}{hint}")]
    Attach { interface: String, mode: &'static str, source: io::Error, hint: &'static str },
    /// The driver opened more RX queues when the program was attached: calls on these would not be refused, and replies
    /// on them would be lost.
    #[error(
        "interface {interface}: in native mode its driver raises the number of RX queues from {before} to {now}, and \
         calls on the new ones could not be refused: run `ethtool -L {interface} combined {most}` before sip-filter \
         starts, so that there are none to spare"
    )]
    QueuesAppeared { interface: String, before: u32, now: u32, most: u32 },
    /// An AF_XDP socket cannot be opened.
    #[error("interface {interface}, queue {queue}: cannot open an AF_XDP socket: {source}{hint}")]
    Socket { interface: String, queue: u32, source: Box<dyn StdError + Send + Sync>, hint: &'static str },
    /// A CPU of the list is not available.
    #[error(
        "CPU {cpu} of --cpus: it is not online, or not allowed to this process, which can use {usable} (those of \
         /sys/devices/system/cpu/online that its cpuset has: AllowedCPUs= of a systemd unit, or what a container was \
         given)"
    )]
    Cpu { cpu: usize, usable: String },
    /// The kernel does not report the available CPUs.
    #[error("cannot find out which CPUs this process can use, for --cpus: {0}")]
    Cpus(#[source] io::Error),
    /// A thread cannot be pinned to its CPU.
    #[error("interface {interface}, queue {queue}: its responder {source}")]
    Pin { interface: String, queue: u32, source: io::Error },
    /// A responder thread cannot be started.
    #[error("interface {interface}, queue {queue}: cannot start its responder thread: {source}")]
    Thread { interface: String, queue: u32, source: io::Error },
    /// A responder thread has ended by itself. Its queue has been passing everything since.
    #[error("interface {interface}, queue {queue}: its responder has stopped: {reason}")]
    ResponderStopped { interface: String, queue: u32, reason: String },
    /// The interface has gone, or our program is no longer attached to it.
    #[error("interface {interface}: {what}")]
    InterfaceLost { interface: String, what: String },
    /// rtnetlink does not reply.
    #[error("cannot read the interfaces and addresses of this host (rtnetlink): {0}")]
    Netlink(#[source] io::Error),
    /// The data plane has stopped, so nothing can be put in force any more.
    #[error("the XDP program is detached, since the daemon is stopping: every new call goes to the proxy")]
    Stopped,
    /// The data plane did not stop in time.
    #[error(
        "the data plane did not stop within {timeout:?}; the kernel detaches the XDP program when the process ends"
    )]
    StopTimeout { timeout: Duration },
}

impl Error {
    /// Returns the error for an interface to which `program` is already attached.
    pub(crate) fn occupied(interface: &str, program: XdpProgram) -> Self {
        Self::Occupied { interface: interface.to_owned(), program: program.describe() }
    }

    /// Returns the error for a program or a map that the kernel rejected.
    pub(super) fn load(error: impl Into<EbpfError>) -> Self {
        // The verifier's words for a helper that is missing help nobody.
        if let Err(too_old) = kernel::check() {
            return too_old;
        }
        let (source, hint) = LoadError::explain(error.into());
        Self::Load { source, hint }
    }

    /// Returns a function that turns an error of the map `map` into an error of the data plane.
    pub(super) fn map<E: Into<MapError>>(map: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Map { map, source: error.into() }
    }
}
