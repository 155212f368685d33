//! The setting of every end-to-end test: a caller's host, the proxy's host, a wire, and a SIP server behind the filter.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use filter_common::verdict::Verdict;

use crate::caller::{Call, Caller};
use crate::daemon::Daemon;
use crate::installation::Installation;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::packet_socket::PacketSocket;
use crate::request::Request;
use crate::sip_server::{PORT, SipServer};
use crate::stats::Stats;
use crate::wait;
use crate::wire::{self, End, Family, PROXY_INTERFACE, WireOptions};

/// Time within which a packet that arrived must have been counted.
const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// A laboratory for one test, so that tests can run side by side.
#[derive(Debug)]
pub struct Lab {
    /// The host of the callers.
    pub outside: Namespace,
    /// The host of the proxy and the filter.
    pub inside: Namespace,
    /// The proxy.
    pub server: SipServer,
    /// The sip-filter on the proxy's host.
    pub filter: Installation,
    /// Prints the daemon's log on standard error when this value is dropped. The test harness shows it only if the test
    /// has failed.
    pub shows_log: bool,
}

impl Lab {
    /// Creates a laboratory with a plain wire.
    ///
    /// # Panics
    ///
    /// Panics if any part of it cannot be created; so do the other constructors.
    #[expect(clippy::new_without_default, reason = "a constructor that takes root is no default")]
    #[track_caller]
    pub fn new() -> Self {
        Self::with_wire(WireOptions::default())
    }

    /// Creates a laboratory with this wire.
    #[track_caller]
    pub fn with_wire(options: WireOptions) -> Self {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, options);
        Self::between(outside, inside, PORT)
    }

    /// Creates a laboratory that leaves the proxy's port to the test: its server has a port to which nothing is sent.
    #[track_caller]
    pub fn without_server() -> Self {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, WireOptions::default());
        Self::between(outside, inside, 0)
    }

    /// Creates a laboratory whose wire is two NICs of this host: the caller's and the proxy's.
    #[track_caller]
    pub fn over_nics(nics: [&str; 2]) -> Self {
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect_nics(&outside, &inside, nics);
        Self::between(outside, inside, PORT)
    }

    /// Creates a laboratory from two hosts that the test has connected by itself.
    #[track_caller]
    pub fn of_hosts(outside: Namespace, inside: Namespace) -> Self {
        Self::between(outside, inside, PORT)
    }

    #[track_caller]
    fn between(outside: Namespace, inside: Namespace, port: u16) -> Self {
        let server = SipServer::start(&inside, port);
        let filter = Installation::new(&inside, &Installation::binary_from_env());
        Self { outside, inside, server, filter, shows_log: true }
    }

    /// Replaces the installation by one with a database on a server, by its URL.
    #[must_use]
    #[track_caller]
    pub fn with_database(mut self, url: String) -> Self {
        self.filter = Installation::new(&self.inside, &Installation::binary_from_env()).with_url(url);
        self
    }

    /// Returns the address and port of the proxy.
    pub fn proxy(&self, family: Family) -> SocketAddr {
        SocketAddr::new(End::Proxy.address(family), PORT)
    }

    /// Creates a caller at a free port.
    ///
    /// # Panics
    ///
    /// Panics if no port can be bound.
    #[track_caller]
    pub fn caller(&self, family: Family) -> Caller {
        Caller::new(&self.outside, SocketAddr::new(End::Caller.address(family), 0), self.proxy(family))
    }

    /// Opens a packet socket at the caller's end of the wire.
    ///
    /// # Panics
    ///
    /// Panics if the socket cannot be opened.
    #[track_caller]
    pub fn packet_socket(&self) -> PacketSocket {
        PacketSocket::open(&self.outside, End::Caller.interface())
    }

    /// Starts the daemon on the proxy's end of the wire, in this mode (`native` or `generic`).
    ///
    /// # Panics
    ///
    /// Panics if the daemon ends or is not ready in time; the message has its log.
    #[track_caller]
    pub fn start(&self, mode: &str) -> Daemon {
        self.filter.start(&["--iface", PROXY_INTERFACE, "--mode", mode])
    }

    /// Returns the line on the XDP program of the proxy's interface in `ip -d link show`, or `None` without a program.
    ///
    /// # Panics
    ///
    /// Panics if `ip` fails.
    #[track_caller]
    pub fn attached_program(&self) -> Option<String> {
        wire::attached_program(&self.inside, PROXY_INTERFACE)
    }

    /// Returns a counter of the interface at `end`, as `ip -s link` shows it: such as `("tx", "dropped")`.
    ///
    /// # Panics
    ///
    /// Panics if there is no such counter.
    #[track_caller]
    pub fn interface_counter(&self, end: End, direction: &str, name: &str) -> u64 {
        let host = match end {
            End::Caller => &self.outside,
            End::Proxy => &self.inside,
        };
        wire::interface_counter(host, end.interface(), direction, name)
    }

    /// Sends new INVITEs in bursts, some of which the responder may lose at its socket. Returns the number of INVITEs.
    ///
    /// # Panics
    ///
    /// Panics if the kernel does not send one.
    #[track_caller]
    pub fn send_bursts(&self, caller: &Caller) -> u64 {
        const BURSTS: u64 = 10;
        const INVITES: u64 = 300;
        for _ in 0..BURSTS {
            for _ in 0..INVITES {
                caller.send(&caller.invite().to_bytes());
            }
            thread::sleep(Duration::from_millis(2));
        }
        BURSTS * INVITES
    }

    /// Waits until `packets` packets have been counted and the responders account for all that were redirected, and
    /// returns the counters.
    ///
    /// # Panics
    ///
    /// Panics if this takes longer than 2 s.
    #[track_caller]
    pub fn wait_for_stats(&self, packets: u64) -> Stats {
        wait::until_some(format_args!("{packets} packets to be counted"), COUNT_TIMEOUT, || {
            let stats = self.filter.stats();
            (stats.seen() >= packets && stats.handled() >= stats.verdict(Verdict::Redirected)).then_some(stats)
        })
    }

    /// Establishes a new call.
    ///
    /// # Panics
    ///
    /// Panics unless the INVITE reaches the server, once, and gets a 200.
    #[track_caller]
    pub fn expect_call_accepted(&self, caller: &Caller) -> Call {
        let call = caller.establish_call();
        let count = self.server.count("INVITE", &call.call_id);
        assert!(count == 1, "the server saw the INVITE of an accepted call {count} times");
        call
    }

    /// Makes a new call and returns its INVITE and the response.
    ///
    /// # Panics
    ///
    /// Panics unless the INVITE gets a 503 and the server sees nothing of it.
    #[track_caller]
    pub fn expect_call_refused(&self, caller: &Caller) -> (Request, Message) {
        let invite = caller.invite();
        let response = caller.expect(&invite, 503);
        assert!(!self.server.has_seen(invite.header("Call-ID")), "the server saw a refused call:\n{invite}");
        (invite, response)
    }

    /// Makes new calls until one gets `status`, and returns how long that took.
    ///
    /// # Panics
    ///
    /// Panics after `timeout`.
    #[track_caller]
    pub fn wait_for_status(&self, status: u16, caller: &Caller, timeout: Duration) -> Duration {
        wait::until(format_args!("a new call to get a {status}"), timeout, || {
            let response = caller.ask_within(&caller.invite(), Duration::from_millis(20));
            response.and_then(|message| message.status()) == Some(status)
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let log = self.filter.log();
        if self.shows_log && !log.is_empty() {
            eprintln!("--- log of sip-filter ---\n{log}--- end of the log ---");
        }
    }
}
