//! The demonstration: a call, maintenance, a refusal, and the call that was up goes on, all on a real interface.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::caller::{Call, Caller};
use crate::daemon::Daemon;
use crate::installation::Installation;
use crate::interrupt;
use crate::namespace::Namespace;
use crate::server::{PORT, Server};
use crate::wait;
use crate::wire::{self, End, Family, PROXY_INTERFACE, WireOptions};

/// Shows what `sip_filter` does, on standard output. An error unless each step was seen to hold.
///
/// Everything is removed on the way out, also after Ctrl-C.
pub fn run(sip_filter: &Path) -> Result<()> {
    let _signals = interrupt::Guard::new()?;
    let mut demo = Demo::set_up(sip_filter)?;
    let shown = demo.show();
    if shown.is_err() && interrupt::check().is_ok() {
        eprintln!("\nThe demo failed. Log of the daemon:\n{}", demo.daemon.log());
    }
    shown?;
    demo.take_down()
}

/// All that the demonstration holds. Fields are dropped in this order: the daemon before its files and its host.
struct Demo {
    daemon: Daemon,
    server: Server,
    caller: Caller,
    filter: Installation,
    inside: Namespace,
}

impl Demo {
    fn set_up(sip_filter: &Path) -> Result<Self> {
        heading("Two network namespaces with a wire between them: a caller's host and the proxy's");
        let (outside, inside) = (Namespace::new()?, Namespace::new()?);
        wire::lay(&outside, &inside, WireOptions::default())?;
        let (here, there) = (End::Caller.address(Family::V4), End::Proxy.address(Family::V4));
        let server = Server::start(&inside, PORT)?;
        let caller = Caller::new(&outside, SocketAddr::new(here, 0), SocketAddr::new(there, PORT))?;
        say(format!(
            "caller {} on {}, SIP server {there}:{PORT} on {PROXY_INTERFACE}",
            caller.local(),
            wire::CALLER_INTERFACE
        ));

        heading("The filter in front of the SIP server, on a fresh SQLite file");
        say(format!("$ sip-filter run --iface {PROXY_INTERFACE}"));
        let filter = Installation::new(&inside, sip_filter)?;
        let daemon = filter.start(&["--iface", PROXY_INTERFACE])?;
        let attached = inside.ip(&format!("-d link show dev {PROXY_INTERFACE}"))?;
        let program = attached.lines().find(|line| line.contains("prog/xdp")).context("no XDP program on the NIC")?;
        say(format!("ready, pid {}; the kernel says: {}", daemon.pid(), program.trim()));
        Ok(Self { daemon, server, caller, filter, inside })
    }

    fn show(&mut self) -> Result<()> {
        heading("Maintenance is off: a call goes through, and stays up");
        let mut call = self.goes_through()?;
        self.switch(&["on", "--why", "demo"])?;
        self.is_refused()?;
        self.goes_on(&mut call)?;
        self.switch(&["off", "--why", "demo is over"])?;
        heading("Maintenance is off again: a call goes through");
        let mut call = self.goes_through()?;
        self.caller.bye(&mut call)?;
        Ok(())
    }

    /// Sets a call up and shows what went to and fro.
    fn goes_through(&self) -> Result<Call> {
        let call = self.caller.call_up()?;
        self.server.wait_for("ACK", &call.call_id)?;
        say("> INVITE");
        say("< SIP/2.0 200 OK");
        say("> ACK");
        say(format!("It is the SIP server that has answered call {}.", call.call_id));
        Ok(call)
    }

    /// Runs the command line tool and shows what it says.
    fn switch(&self, arguments: &[&str]) -> Result<()> {
        let quoted = |word: &&str| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() };
        let command = arguments.iter().map(quoted).collect::<Vec<_>>().join(" ");
        heading(&format!("sip-filter {}", arguments.first().copied().unwrap_or_default()));
        say(format!("$ sip-filter {command}"));
        let answer = self.filter.cli(arguments)?;
        show("", answer.stdout.trim_end());
        show("", answer.stderr.trim_end());
        ensure!(answer.code == Some(0), "`sip-filter {command}` failed, exit status {:?}", answer.code);
        Ok(())
    }

    /// A new call is refused: both messages in full.
    fn is_refused(&self) -> Result<()> {
        heading("A new call is refused, and the SIP server sees nothing of it");
        let invite = self.caller.invite();
        show("> ", invite.to_string().replace("\r\n", "\n").trim_end());
        println!();
        let response = self.caller.expect(&invite, 503)?;
        show("< ", &response.to_string());
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let (sent, received) = (invite.header(name), response.require(name)?);
            // Via and To are the request's with something added: rport and received, and the tag.
            let kept = match name {
                "Via" => received.starts_with(sent.trim_end_matches(";rport")),
                "To" => received.starts_with(sent),
                _ => received == sent,
            };
            ensure!(kept, "the {name} of the refusal is {received:?}, of the INVITE {sent:?}");
        }
        self.caller.acknowledge_refusal(&invite, &response)?;
        let reached = self.server.count("INVITE", invite.header("Call-ID"));
        ensure!(reached == 0, "the SIP server saw the call that was refused");
        let taken = self.filter.stats()?.verdict("redirected")?;
        say(format!(
            "INVITEs of it at the SIP server: {reached}. Taken by the XDP program: {taken} (sip-filter stats)."
        ));
        ensure!(taken == 1, "the filter has taken {taken} INVITEs instead of this one");
        Ok(())
    }

    /// The call that was up before the switch goes on.
    fn goes_on(&self, call: &mut Call) -> Result<()> {
        heading("The call that was up goes on: it is changed, and ends, at the SIP server");
        self.caller.reinvite(call)?;
        say("> INVITE with the To tag of the call");
        say("< SIP/2.0 200 OK");
        say("> ACK");
        self.caller.bye(call)?;
        say("> BYE");
        say("< SIP/2.0 200 OK");
        let (invites, byes) = (self.server.count("INVITE", &call.call_id), self.server.count("BYE", &call.call_id));
        ensure!((invites, byes) == (2, 1), "the SIP server saw {invites} INVITE and {byes} BYE of the call");
        Ok(())
    }

    /// Ends the daemon as an init system would, and looks whether anything is left.
    fn take_down(mut self) -> Result<()> {
        heading("Everything is removed");
        let status = self.daemon.end(Signal::SIGTERM)?;
        ensure!(status.success(), "the daemon ended with {status}\n{}", self.daemon.log());
        wait::until("the XDP program to leave the NIC", Duration::from_secs(2), || {
            Ok(!self.inside.ip(&format!("-d link show dev {PROXY_INTERFACE}"))?.contains("prog/xdp"))
        })?;
        let files = self.filter.dir().to_owned();
        drop(self);
        ensure!(!files.exists(), "{} is still there", files.display());
        say("daemon ended, XDP program detached, files and namespaces gone");
        println!("\nEach step was seen to hold.");
        Ok(())
    }
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn say(text: impl Display) {
    println!("   {text}");
}

/// Prints each line of `text`, indented, behind `prefix`.
fn show(prefix: &str, text: &str) {
    for line in text.lines() {
        println!("   {prefix}{line}");
    }
}
