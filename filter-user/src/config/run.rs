//! The options of `run`.

#![expect(clippy::doc_markdown, reason = "clap shows the doc comments of options as help texts, which are plain text")]

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;

use clap::builder::BoolishValueParser;
use filter_reply::TagSecret;

use super::{BusyPollWindow, Error, InterfaceName, Lease, LogLevel, Transactions};
use crate::dataplane::cpus::CpuList;
use crate::dataplane::{self, Mode};
use crate::domain::{NodeName, Shielded, ShieldedAddress};
use crate::kamailio::{self, HtableName};

/// The port of SIP over UDP (RFC 3261 section 19.1.2).
pub(super) const SIP_PORT: NonZeroU16 = NonZeroU16::new(5060).unwrap();

options! {
    /// Options of `run` that say how the XDP program is attached. `doctor` has them too.
    AttachOptions {
        /// Network interface on which calls arrive; repeat the option, or separate several with commas
        #[arg(long, env = "SIP_FILTER_IFACE", value_name = "IF", value_delimiter = ',')]
        iface: Vec<InterfaceName> = Vec::new();

        /// Place in which the XDP program runs [default: auto]
        ///
        /// native: in the NIC's driver, which is faster, but not every driver supports it. generic: in the network
        /// stack, which works with any driver. auto: native where it works, else generic.
        #[arg(long, env = "SIP_FILTER_MODE", value_name = "MODE", value_enum, hide_possible_values = true)]
        mode: Mode = Mode::Auto;

        /// Bind the AF_XDP sockets in zero-copy mode
        ///
        /// This is not always faster: on a zero-copy queue every packet that passes is copied, and nearly all packets
        /// pass. It needs the XDP program in the driver: with it, auto never falls back to generic.
        #[arg(
            long,
            env = "SIP_FILTER_ZERO_COPY",
            num_args = 0..=1,
            default_missing_value = "true",
            require_equals = true,
            value_name = "BOOL",
            value_parser = BoolishValueParser::new(),
            hide_possible_values = true
        )]
        zero_copy: bool = false;
    }

    /// Options of `run`.
    RunOptions {
        /// Destination addresses whose calls are refused [default: local]
        ///
        /// local: all addresses of this host, on whatever interface, also those that are added while it runs. any: all
        /// addresses. Otherwise addresses or prefixes, at most 1024 of each IP version, on a gateway that shields the
        /// proxies behind it; repeat the option, or separate several with commas. Calls to other addresses pass.
        #[arg(long, env = "SIP_FILTER_ADDRESS", value_name = "local|any|PREFIX", value_delimiter = ',')]
        address: Vec<ShieldedAddress> = vec![ShieldedAddress::Local];

        /// UDP port of the proxy, 1 to 65535; repeat the option, or separate several with commas [default: 5060]
        #[arg(long, env = "SIP_FILTER_PORT", value_name = "N", value_delimiter = ',')]
        port: Vec<NonZeroU16> = vec![SIP_PORT];

        /// Name of this host among those that share the database, 1 to 58 characters [default: the host name]
        ///
        /// The row maint@NAME applies to this host alone, and wins over maint.
        #[arg(long, env = "SIP_FILTER_NODE", value_name = "NAME")]
        node: NodeName = host_name();

        /// CPUs on which the responders run, as in 2-5,8 [default: any CPU]
        ///
        /// There is one responder thread for each RX queue of each interface. The first queue is pinned to the first
        /// CPU of the list, and so on. The next interface continues where the previous one ended, and the list repeats.
        /// The best choice for a queue is the CPU that handles its interrupt, or a neighbouring one. The rest of the
        /// daemon is not pinned.
        #[arg(long, env = "SIP_FILTER_CPUS", value_name = "LIST")]
        cpus: CpuList;

        /// Busy polling: time for which a responder polls the driver after the last packet before it sleeps, in
        /// microseconds, 1 to 1000000 [default: 0, no busy polling]
        ///
        /// This saves the interrupt and the wake-up, for a CPU that is busy as long as new calls arrive. The thread
        /// then does the driver's work for its queue, including the packets that pass. Interrupts stay off between two
        /// polls only if /sys/class/net/IF/napi_defer_hard_irqs and gro_flush_timeout are set, which is left to the
        /// operator. Busy polling needs native mode, and a kernel that knows the driver's NAPI instance for the socket:
        /// if `status` shows `no NAPI`, the responder polls only its socket.
        #[arg(long, env = "SIP_FILTER_BUSY_POLL", value_name = "MICROSECONDS")]
        busy_poll: BusyPollWindow = BusyPollWindow::default();

        /// Time for which a responder that makes no progress still gets new calls, in milliseconds, 100 to 10000
        /// [default: 1000]
        ///
        /// After that they go to the proxy again.
        #[arg(long, env = "SIP_FILTER_LEASE_MS", value_name = "MS")]
        lease_ms: Lease = Lease::default();

        /// Number of INVITEs to remember, of those that passed and of those that were refused, 1024 to 4194304
        /// [default: 262144]
        ///
        /// They are remembered for 32 s, so that a retransmission gets the same treatment even if maintenance was
        /// switched in between. Nothing is forgotten if the number is four times the INVITEs of 32 s: entries share
        /// buckets of eight, and a full bucket forgets its oldest entry. The number is rounded up to a power of two.
        /// Each entry takes 8 bytes of kernel memory, in each of two tables.
        #[arg(long, env = "SIP_FILTER_TRANSACTIONS", value_name = "N")]
        transactions: Transactions = Transactions::default();

        /// Send each response to the port from which its request came, whatever its Via says
        ///
        /// Without it, a response to a request without rport goes to the port of the Via, or else to 5060 (RFC 3261
        /// section 18.2.2), where it does not reach a caller behind NAT. With it, the response also has rport in its
        /// Via, as after force_rport() in Kamailio's script: enable it if the proxy's script does that.
        #[arg(
            long,
            env = "SIP_FILTER_FORCE_RPORT",
            num_args = 0..=1,
            default_missing_value = "true",
            require_equals = true,
            value_name = "BOOL",
            value_parser = BoolishValueParser::new(),
            hide_possible_values = true
        )]
        force_rport: bool = false;

        /// Kamailio on this host in which the maintenance flag is set, to refuse calls over TCP, TLS and WebSocket
        ///
        /// unix:PATH, the datagram socket of its module jsonrpcs: unix:/run/kamailio/kamailio_rpc.sock. Kamailio's
        /// script has to read the flag and refuse.
        #[arg(long, env = "SIP_FILTER_KAMAILIO", value_name = "unix:PATH")]
        kamailio: kamailio::Socket;

        /// The htable in which Kamailio's script reads the key maint [default: config]
        #[arg(long, env = "SIP_FILTER_KAMAILIO_HTABLE", value_name = "NAME")]
        kamailio_htable: HtableName = HtableName::default();

        /// Address and port for metrics in the Prometheus text format, GET /metrics: 127.0.0.1:9464 or [::1]:9464
        /// [default: none]
        ///
        /// This is plain HTTP, and anyone who can reach it can read it: keep it on the loopback interface or a
        /// management network.
        #[arg(long, env = "SIP_FILTER_METRICS", value_name = "ADDR")]
        metrics: SocketAddr;

        /// Log level: error, warn, info, debug or trace, also per module (info,filter_user::sync=debug) [default: info]
        #[arg(long, env = "SIP_FILTER_LOG", value_name = "LEVEL")]
        log_level: LogLevel = LogLevel::default();
    }

    /// The values of the options of `run`.
    RunSettings;
}

impl RunSettings {
    /// Checks the rules that concern several values. `path` is the configuration file, for the error.
    pub(super) fn check(&self, path: &Path) -> Result<(), Error> {
        if self.iface.is_empty() {
            return Err(Error::NoInterface(path.into()));
        }
        let mut names = self.iface.iter().enumerate();
        if let Some((_, twice)) = names.find(|(index, name)| self.iface.iter().take(*index).any(|other| other == *name))
        {
            return Err(Error::InterfaceTwice(twice.clone()));
        }
        if self.port.is_empty() {
            return Err(Error::NoPort);
        }
        self.shielded()?;
        if self.zero_copy && self.mode == Mode::Generic {
            return Err(Error::ZeroCopyGeneric);
        }
        Ok(())
    }

    /// Returns the names of the interfaces.
    pub fn interfaces(&self) -> Vec<String> {
        self.iface.iter().map(InterfaceName::to_string).collect()
    }

    /// Returns the destination addresses whose calls are refused.
    pub fn shielded(&self) -> Result<Shielded, Error> {
        Ok(Shielded::try_from(&*self.address)?)
    }

    /// Returns the UDP ports of the proxy.
    pub fn ports(&self) -> Vec<u16> {
        self.port.iter().map(|port| port.get()).collect()
    }

    /// Returns the local Kamailio, if there is one.
    pub fn kamailio_target(&self) -> Option<kamailio::Target> {
        let htable = self.kamailio_htable.clone();
        self.kamailio.clone().map(|socket| kamailio::Target { socket, htable })
    }

    /// Returns the options of the data plane. With `debug`, the XDP program logs.
    pub fn data_plane(&self, tag: TagSecret, debug: bool) -> dataplane::Options {
        dataplane::Options {
            interfaces: self.interfaces(),
            // `check` has reported values that contradict each other.
            shielded: self.shielded().unwrap_or_default(),
            ports: self.ports(),
            mode: self.mode,
            zero_copy: self.zero_copy,
            cpus: self.cpus.clone(),
            busy_poll: self.busy_poll.duration(),
            lease: self.lease_ms.duration(),
            tag,
            transactions: self.transactions.get(),
            force_rport: self.force_rport,
            debug,
        }
    }
}

/// Returns the host name of the kernel, as the name of this host among those that share the database.
fn host_name() -> NodeName {
    NodeName::from_host_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}
