//! baresip, a telephone without a user interface: a real user agent in the caller's namespace, driven over its control
//! socket.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::failure::OrFail as _;
use crate::lab::Lab;
use crate::process::{Process, describe};
use crate::wait;
use crate::wire::{CALLER_INTERFACE, End, Family};

/// Address of the control socket, on the loopback interface of its namespace.
const CONTROL: &str = "127.0.0.1:4444";

/// Time within which a command must have its effect.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running baresip. It needs no sound card: it sends back the audio that it receives.
#[derive(Debug)]
pub struct Baresip {
    control: BufReader<TcpStream>,
    events: VecDeque<Value>,
    uri: String,
    _process: Process,
    folder: TempDir,
}

impl Baresip {
    /// Starts baresip in the caller's namespace and waits until it accepts commands.
    ///
    /// # Panics
    ///
    /// Panics if baresip ends, or does not accept commands in time; the message has its log.
    #[track_caller]
    pub fn start(lab: &Lab, family: Family) -> Self {
        let folder = tempfile::Builder::new().prefix("sip-filter-baresip-").tempdir();
        let folder = folder.or_fail("cannot create a folder for baresip");
        let host = match End::Caller.address(family) {
            address if address.is_ipv6() => format!("[{address}]"),
            address => address.to_string(),
        };
        let account = format!("<sip:alice@{host}:5080>;regint=0;audio_codecs=pcma\n");
        for (name, text) in [("config", config(&host)), ("accounts", account), ("contacts", String::new())] {
            fs::write(folder.path().join(name), text).or_fail(format_args!("cannot write baresip's {name}"));
        }

        let log = File::create(folder.path().join("log")).or_fail("cannot create baresip's log");
        let errors = log.try_clone().or_fail("cannot duplicate a descriptor");
        let mut command = lab.outside.command("baresip");
        command.arg("-f").arg(folder.path()).arg("-s").arg(if family == Family::V4 { "-4" } else { "-6" });
        // It ends by itself after a minute, whatever happens.
        command.args(["-t", "60"]);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut process = Process::spawn(&mut command);
        let connected = wait::poll(TIMEOUT, || match process.try_wait() {
            Some(status) => Some(Err(describe(status))),
            None => lab.outside.run(|| TcpStream::connect(CONTROL)).ok().map(Ok),
        });
        let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let control = match connected {
            Some(Ok(control)) => control,
            Some(Err(status)) => panic!("baresip ended: {status}; its log:\n{}", log()),
            None => panic!("baresip has no control socket after {TIMEOUT:?}; its log:\n{}", log()),
        };
        control.set_read_timeout(Some(TIMEOUT)).or_fail("cannot set a read timeout");
        let uri = format!("sip:+4930123456@{}", lab.proxy(family));
        let (control, events) = (BufReader::new(control), VecDeque::new());
        Self { control, events, uri, _process: process, folder }
    }

    /// Calls through the proxy.
    ///
    /// # Panics
    ///
    /// Panics if baresip rejects the command.
    #[track_caller]
    pub fn dial(&mut self) {
        let uri = self.uri.clone();
        self.command("dial", &uri);
    }

    /// Gives a command for the current call, such as `hold`, `resume` or `hangup`.
    ///
    /// # Panics
    ///
    /// Panics if baresip rejects the command.
    #[track_caller]
    pub fn command(&mut self, command: &str, parameters: &str) {
        let text = json!({"command": command, "params": parameters}).to_string();
        let netstring = format!("{}:{text},", text.len());
        self.control.get_mut().write_all(netstring.as_bytes()).or_fail("cannot write to baresip");
        loop {
            let message = self.message();
            if message["response"] == true {
                assert!(message["ok"] == true, "baresip rejects {command}: {message}; its log:\n{}", self.log());
                return;
            }
            self.events.push_back(message);
        }
    }

    /// Waits for the next event of this type and returns its parameter.
    ///
    /// # Panics
    ///
    /// Panics if there is none in time, or if an event of one of the types `unexpected` comes first; the message has
    /// baresip's log.
    #[track_caller]
    pub fn expect_event(&mut self, event: &str, unexpected: &[&str]) -> String {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let message = match self.events.pop_front() {
                Some(message) => message,
                None => self.message(),
            };
            let kind = message["type"].as_str().unwrap_or_default();
            if kind == event {
                return message["param"].as_str().unwrap_or_default().to_owned();
            }
            assert!(!unexpected.contains(&kind), "{message} instead of {event}; baresip's log:\n{}", self.log());
        }
        panic!("no {event} from baresip within {TIMEOUT:?}; its log:\n{}", self.log());
    }

    /// Returns baresip's log, which has all SIP messages.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn message(&mut self) -> Value {
        let message = read_netstring(&mut self.control);
        message.or_fail(format_args!("no message from baresip, whose log is\n{}", self.log()))
    }
}

/// Reads the next netstring (`LENGTH:TEXT,`) of the control socket and parses its text.
fn read_netstring(control: &mut BufReader<TcpStream>) -> Result<Value> {
    let mut length = Vec::new();
    control.read_until(b':', &mut length).context("read the length")?;
    let length = String::from_utf8_lossy(&length);
    let length: usize = length.trim_end_matches(':').parse().with_context(|| format!("length {length:?}"))?;
    let mut text = vec![0; length + 1];
    control.read_exact(&mut text).context("read the text")?;
    serde_json::from_slice(&text[..length]).context("parse the JSON")
}

/// Returns the configuration: the modules without which baresip makes no calls, and one address to listen on.
fn config(host: &str) -> String {
    format!(
        "sip_listen {host}:5080\n\
         net_interface {CALLER_INTERFACE}\n\
         module_path /usr/lib/baresip/modules\n\
         module g711.so\n\
         module aubridge.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen {CONTROL}\n\
         audio_source aubridge,none\n\
         audio_player aubridge,none\n\
         audio_alert aubridge,none\n"
    )
}
