//! The demonstration: a call, maintenance, a refusal, and an established call that continues, all on a real interface.

#![expect(clippy::print_stdout, reason = "the demonstration is what it prints")]

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use filter_common::verdict::Verdict;
use nix::sys::signal::Signal;

use crate::caller::{Call, Caller};
use crate::daemon::Daemon;
use crate::failure::{OrFail as _, catch};
use crate::installation::Installation;
use crate::interrupt;
use crate::namespace::Namespace;
use crate::sip_server::{PORT, SipServer};
use crate::wait;
use crate::wire::{self, End, Family, PROXY_INTERFACE, WireOptions};

/// Shows on standard output what `sip_filter` does.
///
/// Everything is removed on the way out, also after Ctrl-C.
///
/// # Errors
///
/// Returns a sentence about the first step that did not have its effect. The panic hook has been called with it.
pub fn run(sip_filter: &Path) -> Result<(), String> {
    let _signals = interrupt::Guard::new();
    let demo = catch(|| Demo::set_up(sip_filter))?;
    let shown = catch(|| demo.show());
    if shown.is_err() && !interrupt::is_requested() {
        eprintln!("\nThe demonstration failed. Log of the daemon:\n{}", demo.daemon.log());
    }
    shown?;
    catch(|| demo.take_down())
}

/// Everything that the demonstration holds. Fields are dropped in order: the daemon before its files and its host.
struct Demo {
    daemon: Daemon,
    server: SipServer,
    caller: Caller,
    filter: Installation,
    inside: Namespace,
}

impl Demo {
    fn set_up(sip_filter: &Path) -> Self {
        heading("Two network namespaces with a wire between them: a caller's host and the proxy's");
        let (outside, inside) = (Namespace::new(), Namespace::new());
        wire::connect(&outside, &inside, WireOptions::default());
        let (here, there) = (End::Caller.address(Family::V4), End::Proxy.address(Family::V4));
        let server = SipServer::start(&inside, PORT);
        let caller = Caller::new(&outside, SocketAddr::new(here, 0), SocketAddr::new(there, PORT));
        say(format_args!(
            "caller {} on {}, SIP server {there}:{PORT} on {PROXY_INTERFACE}",
            caller.local(),
            wire::CALLER_INTERFACE
        ));

        heading("The filter in front of the SIP server, on a fresh SQLite file");
        say(format_args!("$ sip-filter run --iface {PROXY_INTERFACE}"));
        let filter = Installation::new(&inside, sip_filter);
        let daemon = filter.start(&["--iface", PROXY_INTERFACE]);
        let program = wire::attached_program(&inside, PROXY_INTERFACE);
        let program = program.or_fail(format_args!("no XDP program is attached to {PROXY_INTERFACE}"));
        say(format_args!("ready, pid {}; the kernel reports: {program}", daemon.pid()));
        Self { daemon, server, caller, filter, inside }
    }

    fn show(&self) {
        heading("Maintenance is off: a call is accepted, and stays established");
        let mut call = self.establish_call();
        self.switch(&["on", "--why", "demo"]);
        self.show_refusal();
        self.show_established_call(&mut call);
        self.switch(&["off", "--why", "demo is over"]);
        heading("Maintenance is off again: a call is accepted");
        let mut call = self.establish_call();
        self.caller.bye(&mut call);
    }

    /// Establishes a call and shows its messages.
    fn establish_call(&self) -> Call {
        let call = self.caller.establish_call();
        self.server.wait_for("ACK", &call.call_id);
        say("> INVITE");
        say("< SIP/2.0 200 OK");
        say("> ACK");
        say(format_args!("The SIP server has answered call {}.", call.call_id));
        call
    }

    /// Runs the command line tool and shows its output.
    fn switch(&self, arguments: &[&str]) {
        let quoted = |word: &&str| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() };
        let command = arguments.iter().map(quoted).collect::<Vec<_>>().join(" ");
        heading(&format!("sip-filter {}", arguments.first().copied().unwrap_or_default()));
        say(format_args!("$ sip-filter {command}"));
        let output = self.filter.output(arguments);
        show("", output.stdout.trim_end());
        show("", output.stderr.trim_end());
        assert!(output.code == Some(0), "`sip-filter {command}` failed, exit status {:?}", output.code);
    }

    /// Shows that a new call is refused, with both messages in full.
    fn show_refusal(&self) {
        heading("A new call is refused, and the SIP server sees nothing of it");
        let invite = self.caller.invite();
        show("> ", invite.to_string().replace("\r\n", "\n").trim_end());
        println!();
        let response = self.caller.expect(&invite, 503);
        show("< ", &response.to_string());
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let (sent, received) = (invite.header(name), response.require(name));
            // The response adds rport and received to the Via, and a tag to the To.
            let is_kept = match name {
                "Via" => received.starts_with(sent.trim_end_matches(";rport")),
                "To" => received.starts_with(sent),
                _ => received == sent,
            };
            assert!(is_kept, "the {name} of the response is {received:?}, that of the INVITE {sent:?}");
        }
        self.caller.acknowledge_refusal(&invite, &response);
        let reached = self.server.count("INVITE", invite.header("Call-ID"));
        assert!(reached == 0, "the SIP server saw the call that was refused");
        let redirected = self.filter.stats().verdict(Verdict::Redirected);
        say(format_args!("INVITEs of this call at the SIP server: {reached}"));
        say(format_args!("INVITEs taken by the XDP program (sip-filter stats): {redirected}"));
        assert!(redirected == 1, "the XDP program has taken {redirected} INVITEs, and not only this one");
    }

    /// Shows that the call that was established before the switch continues.
    fn show_established_call(&self, call: &mut Call) {
        heading("The established call continues: it is changed, and ends, at the SIP server");
        self.caller.reinvite(call);
        say("> INVITE with the To tag of the call");
        say("< SIP/2.0 200 OK");
        say("> ACK");
        self.caller.bye(call);
        say("> BYE");
        say("< SIP/2.0 200 OK");
        let counts = ["INVITE", "BYE"].map(|method| self.server.count(method, &call.call_id));
        assert!(counts == [2, 1], "the SIP server saw {counts:?} INVITEs and BYEs of the call, not 2 and 1");
    }

    /// Ends the daemon as an init system would, and verifies that nothing is left.
    fn take_down(mut self) {
        heading("Everything is removed");
        let status = self.daemon.end(Signal::SIGTERM);
        assert!(status.success(), "the daemon ended with {status}; its log:\n{}", self.daemon.log());
        wait::until("the XDP program to leave the NIC", Duration::from_secs(2), || {
            wire::attached_program(&self.inside, PROXY_INTERFACE).is_none()
        });
        let files = self.filter.dir().to_owned();
        drop(self);
        assert!(!files.exists(), "{} still exists", files.display());
        say("daemon ended, XDP program detached, files and namespaces removed");
        println!("\nEvery step was verified.");
    }
}

fn heading(text: &str) {
    println!("\n== {text}");
}

fn say(text: impl Display) {
    println!("   {text}");
}

/// Prints each line of `text`, indented, after `prefix`.
fn show(prefix: &str, text: &str) {
    for line in text.lines() {
        println!("   {prefix}{line}");
    }
}
