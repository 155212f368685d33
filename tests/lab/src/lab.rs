//! What each end-to-end test starts from: a caller's host, the proxy's host, a wire, and a SIP server behind it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::caller::{Call, Caller};
use crate::daemon::Daemon;
use crate::installation::Installation;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::packet_socket::PacketSocket;
use crate::request::Request;
use crate::server::{PORT, Server};
use crate::stats::Stats;
use crate::wire::{self, End, Family, PROXY_INTERFACE, WireOptions};

/// A laboratory of its own for one test, so that tests can run side by side.
#[derive(Debug)]
pub struct Lab {
    /// The host that calls come from.
    pub outside: Namespace,
    /// The host with the proxy and the filter.
    pub inside: Namespace,
    /// The proxy.
    pub server: Server,
    /// The sip-filter on the proxy's host.
    pub filter: Installation,
    /// The daemon's log goes to standard error when the laboratory is dropped: the test harness keeps it to itself unless the test
    /// has failed.
    pub shows_log: bool,
}

impl Lab {
    /// A laboratory with a plain wire.
    pub fn new() -> Result<Self> {
        Self::with(WireOptions::default())
    }

    /// A laboratory with this wire.
    pub fn with(options: WireOptions) -> Result<Self> {
        Self::behind(|outside, inside| wire::lay(outside, inside, options), PORT)
    }

    /// A laboratory whose server has left the proxy's port to the test, and listens where no packet comes.
    pub fn without_server() -> Result<Self> {
        Self::behind(|outside, inside| wire::lay(outside, inside, WireOptions::default()), 0)
    }

    /// A laboratory whose wire is two NICs of this host: the caller's and the proxy's.
    pub fn over(nics: [&str; 2]) -> Result<Self> {
        Self::behind(|outside, inside| wire::lay_over(outside, inside, nics), PORT)
    }

    fn behind(lay: impl FnOnce(&Namespace, &Namespace) -> Result<()>, port: u16) -> Result<Self> {
        let (outside, inside) = (Namespace::new()?, Namespace::new()?);
        lay(&outside, &inside)?;
        let server = Server::start(&inside, port)?;
        let filter = Installation::new(&inside, &Installation::binary_from_env()?)?;
        Ok(Self { outside, inside, server, filter, shows_log: true })
    }

    /// The same with a database on a server, by its URL.
    pub fn on_database(mut self, url: String) -> Result<Self> {
        self.filter = Installation::new(&self.inside, &Installation::binary_from_env()?)?.with_url(url);
        Ok(self)
    }

    /// The address and port of the proxy.
    pub fn proxy(&self, family: Family) -> SocketAddr {
        SocketAddr::new(End::Proxy.address(family), PORT)
    }

    /// A caller at a free port.
    pub fn caller(&self, family: Family) -> Result<Caller> {
        Caller::new(&self.outside, SocketAddr::new(End::Caller.address(family), 0), self.proxy(family))
    }

    /// Whole frames at the caller's end of the wire.
    pub fn frames(&self) -> Result<PacketSocket> {
        PacketSocket::open(&self.outside, End::Caller.interface())
    }

    /// Starts the daemon on the proxy's end of the wire, in this mode (`native` or `generic`).
    pub fn start(&self, mode: &str) -> Result<Daemon> {
        self.filter.start(&["--iface", PROXY_INTERFACE, "--mode", mode])
    }

    /// The interface's line with its XDP program, as `ip -d link show` prints it; none if there is no program.
    pub fn attached(&self) -> Result<Option<String>> {
        let shown = self.inside.ip(&format!("-d link show dev {PROXY_INTERFACE}"))?;
        Ok(shown.lines().find(|line| line.contains("prog/xdp")).map(|line| line.trim().to_owned()))
    }

    /// A counter of the interface at `end`, as `ip -s link` shows it: such as `("tx", "dropped")`.
    pub fn interface_counter(&self, end: End, direction: &str, name: &str) -> Result<u64> {
        let host = match end {
            End::Caller => &self.outside,
            End::Proxy => &self.inside,
        };
        wire::interface_counter(host, end.interface(), direction, name)
    }

    /// Sends new INVITEs in bursts, of which the responder may lose some at its socket. How many they were.
    pub fn send_bursts(&self, caller: &Caller) -> Result<u64> {
        const BURSTS: u64 = 10;
        const INVITES: u64 = 300;
        for _ in 0..BURSTS {
            for _ in 0..INVITES {
                caller.send(&caller.invite().to_bytes())?;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(BURSTS * INVITES)
    }

    /// The counters, once they have seen as many packets as were sent, and what became of all that were redirected.
    pub fn counted(&self, sent: u64) -> Result<Stats> {
        crate::wait::for_some(&format!("{sent} packets to be counted"), Duration::from_secs(2), || {
            let stats = self.filter.stats()?;
            Ok((stats.seen() >= sent && stats.handled() >= stats.verdict("redirected")?).then_some(stats))
        })
    }

    /// A new call has to go through: it reaches the server, and the caller gets a 200.
    pub fn goes_through(&self, caller: &Caller) -> Result<Call> {
        let call = caller.call_up().context("a new call was to go through")?;
        ensure!(self.server.count("INVITE", &call.call_id) == 1, "the server did not see the INVITE once");
        Ok(call)
    }

    /// A new call has to be refused with a 503 of which the server sees nothing.
    pub fn is_refused(&self, caller: &Caller) -> Result<(Request, Message)> {
        let invite = caller.invite();
        let response = caller.expect(&invite, 503).context("a new call was to be refused")?;
        ensure!(!self.server.saw(invite.header("Call-ID")), "the server saw a call that was refused");
        Ok((invite, response))
    }

    /// Calls until one is refused (or goes through, as `refused` says), and returns how long that took.
    pub fn until_calls_are(&self, refused: bool, caller: &Caller, timeout: Duration) -> Result<Duration> {
        let (status, what) = if refused { (503, "a call to be refused") } else { (200, "a call to go through") };
        crate::wait::until(what, timeout, || {
            let response = caller.ask_for(&caller.invite(), Duration::from_millis(20))?;
            Ok(response.and_then(|message| message.status()) == Some(status))
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
