//! baresip, a telephone without a face: a real user agent in the caller's namespace, driven through its control socket.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait;
use crate::wire::{CALLER_INTERFACE, End, Family};

/// Where its control socket listens, on the loopback of its namespace.
const CONTROL: &str = "127.0.0.1:4444";

/// How long it may take until what has been asked for has happened.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running baresip. It needs no sound card: what it would play is what it says.
#[derive(Debug)]
pub struct Baresip {
    control: BufReader<TcpStream>,
    events: VecDeque<Value>,
    uri: String,
    _process: Process,
    folder: TempDir,
}

impl Baresip {
    /// Starts it in the caller's namespace and waits until it can be told what to do.
    pub fn start(lab: &Lab, family: Family) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sip-filter-baresip-").tempdir().context("a folder")?;
        let host = match End::Caller.address(family) {
            address if address.is_ipv6() => format!("[{address}]"),
            address => address.to_string(),
        };
        fs::write(folder.path().join("config"), config(&host)).context("baresip's configuration")?;
        let account = format!("<sip:alice@{host}:5080>;regint=0;audio_codecs=pcma\n");
        fs::write(folder.path().join("accounts"), account).context("baresip's account")?;
        fs::write(folder.path().join("contacts"), "").context("baresip's contacts")?;

        let log = File::create(folder.path().join("log")).context("baresip's log")?;
        let errors = log.try_clone().context("baresip's log")?;
        let mut command = lab.outside.command("baresip");
        command.arg("-f").arg(folder.path()).arg("-s").arg(if family == Family::V4 { "-4" } else { "-6" });
        // Whatever happens, it ends by itself.
        command.args(["-t", "60"]);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut process = Process::spawn(&mut command)?;
        let control = wait::for_some("baresip's control socket", PATIENCE, || {
            if let Some(status) = process.ended()? {
                bail!("baresip ended: {status}\n{}", fs::read_to_string(folder.path().join("log"))?);
            }
            Ok(lab.outside.run(|| TcpStream::connect(CONTROL))?.ok())
        })?;
        control.set_read_timeout(Some(PATIENCE)).context("a read timeout")?;
        let uri = format!("sip:+4930123456@{}", lab.proxy(family));
        let (control, events) = (BufReader::new(control), VecDeque::new());
        Ok(Self { control, events, uri, _process: process, folder })
    }

    /// Calls through the proxy.
    pub fn dial(&mut self) -> Result<()> {
        let uri = self.uri.clone();
        self.tell("dial", &uri)
    }

    /// Gives it a command, such as `hold`, `resume` or `hangup`, for the call that it has.
    pub fn tell(&mut self, command: &str, parameters: &str) -> Result<()> {
        let text = json!({"command": command, "params": parameters}).to_string();
        let netstring = format!("{}:{text},", text.len());
        self.control.get_mut().write_all(netstring.as_bytes()).context("write to baresip")?;
        loop {
            let message = self.message()?;
            if message["response"] == true {
                ensure!(message["ok"] == true, "{command}: {message}\n{}", self.log());
                return Ok(());
            }
            self.events.push_back(message);
        }
    }

    /// Waits for the next event of a call and returns its parameter; an error if another event of `others` comes first.
    pub fn hears(&mut self, event: &str, others: &[&str]) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let message = match self.events.pop_front() {
                Some(message) => message,
                None => self.message().with_context(|| format!("waiting for {event}; log:\n{}", self.log()))?,
            };
            let kind = message["type"].as_str().unwrap_or_default();
            if kind == event {
                return Ok(message["param"].as_str().unwrap_or_default().to_owned());
            }
            ensure!(!others.contains(&kind), "{message} instead of {event}\n{}", self.log());
        }
        bail!("no {event} from baresip\n{}", self.log())
    }

    /// What it has logged, with all SIP messages.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The next netstring (`LENGTH:TEXT,`) from its control socket.
    fn message(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.control.read_until(b':', &mut length).context("read from baresip")?;
        let length = String::from_utf8_lossy(&length);
        let length: usize = length.trim_end_matches(':').parse().with_context(|| format!("length {length:?}"))?;
        let mut text = vec![0; length + 1];
        self.control.read_exact(&mut text).context("read from baresip")?;
        serde_json::from_slice(&text[..length]).context("JSON of baresip")
    }
}

/// Its configuration: the modules without which there is no call, and one address to listen on.
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
