//! What can go wrong in the data plane, in words for the person who has to mend it.

use std::io;

/// An error of the data plane. Whatever failed, plain traffic goes on: without a program, a lease or a socket the kernel
/// passes every packet.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum Error {
    /// The kernel lacks what the XDP program needs: `bpf_loop` (5.17), `bpf_xdp_load_bytes` and multi-buffer frames (5.18).
    #[error("this kernel is {found}, sip-filter needs Linux 6.1 or newer")]
    KernelTooOld { found: String },
    /// `if_nametoindex(3)` does not know the name.
    #[error("interface {interface}: there is none of that name in this network namespace (`ip link` lists them)")]
    NoInterface { interface: String },
    /// The same interface was named twice.
    #[error("interface {interface} is named twice")]
    SameInterface { interface: String },
    /// The queues of the interface cannot be read.
    #[error("interface {interface}: cannot read how many queues it has: {source}")]
    Channels { interface: String, source: io::Error },
    /// Replies leave by the TX queue of the same number, so there has to be one.
    #[error(
        "interface {interface} has {rx} RX queues but only {tx} TX queues: replies from the others could not be sent; \
         make them equal, as with `ethtool -L {interface} rx {tx}`"
    )]
    TooFewTxQueues { interface: String, rx: u32, tx: u32 },
    /// More queues than the maps have room for.
    #[error("the interfaces have {queues} RX queues in all, at most {max} can be served", max = filter_common::maps::MAX_QUEUES)]
    TooManyQueues { queues: u32 },
    /// The kernel refused the program or its maps.
    #[error("cannot load the XDP program into the kernel: {reason}{hint}")]
    Load { reason: String, hint: &'static str },
    /// A map that the program should have is not there, or is of another kind.
    #[error("BPF map {map}: {reason}")]
    Map { map: &'static str, reason: String },
    /// There is a program on the interface already.
    #[error(
        "interface {interface}: XDP program {program} is attached to it already and is left alone; if it is another \
         sip-filter, stop that one first (`bpftool net show dev {interface}` tells more)"
    )]
    Occupied { interface: String, program: String },
    /// The kernel or the driver refused to attach the program.
    #[error("interface {interface}: cannot attach the XDP program in {mode} mode: {source}{hint}")]
    Attach { interface: String, mode: &'static str, source: io::Error, hint: &'static str },
    /// The driver opened more RX queues when the program came: calls on these would be missed, and replies on them lost.
    #[error(
        "interface {interface}: in native mode its driver raises the number of RX queues from {before} to {now}, and calls on \
         the new ones could not be refused: run `ethtool -L {interface} combined {most}` before sip-filter starts, so that there are none to spare"
    )]
    QueuesAppeared { interface: String, before: u32, now: u32, most: u32 },
    /// An AF_XDP socket could not be had.
    #[error("interface {interface}, queue {queue}: cannot open an AF_XDP socket: {reason}{hint}")]
    Socket { interface: String, queue: u32, reason: String, hint: &'static str },
    /// A CPU of the list cannot be had.
    #[error(
        "CPU {cpu} of --cpus: it is not online, or not allowed to this process, which can use {usable} (those of \
         /sys/devices/system/cpu/online that its cpuset has: AllowedCPUs= of a systemd unit, or what a container was given)"
    )]
    Cpu { cpu: usize, usable: String },
    /// The kernel does not tell which CPUs can be had.
    #[error("cannot find out which CPUs this process can use, for --cpus: {0}")]
    Cpus(io::Error),
    /// A thread could not be kept on its CPU.
    #[error("interface {interface}, queue {queue}: its responder {source}")]
    Pin { interface: String, queue: u32, source: io::Error },
    /// A responder thread could not be started.
    #[error("interface {interface}, queue {queue}: cannot start its responder thread: {source}")]
    Thread { interface: String, queue: u32, source: io::Error },
    /// A responder thread has ended by itself. Its queue has been passing everything since.
    #[error("interface {interface}, queue {queue}: its responder has stopped: {reason}")]
    ResponderStopped { interface: String, queue: u32, reason: String },
    /// The interface has gone, or our program is no longer on it.
    #[error("interface {interface}: {what}")]
    InterfaceLost { interface: String, what: String },
    /// rtnetlink did not answer.
    #[error("interface {interface}: cannot ask the kernel about it (rtnetlink): {source}")]
    Netlink { interface: String, source: io::Error },
}
