//! A real Kamailio as the proxy: its script refuses new calls while `$sht(config=>maint)=="1"`, and accepts the others.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::failure::OrFail as _;
use crate::message::Message;
use crate::namespace::Namespace;
use crate::process::{Process, describe};
use crate::wait;

/// Time within which Kamailio must start, end, or respond over TCP.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time within which Kamailio must respond to an RPC.
const RPC_TIMEOUT: Duration = Duration::from_secs(2);

/// Kamailio's part in the error of an RPC for a key that the htable does not have.
const NO_SUCH_KEY: &str = "Key name doesn't exist";

/// How Kamailio's htable `config` is stored, and how Kamailio runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:///PATH`, `mysql://…` or `postgres://…`; `None` keeps the table in memory only.
    pub htable_db_url: Option<String>,
    /// The table in that database; empty for `htable_config`.
    pub table: String,
    /// The htable's `dbmode`: with 1, Kamailio rewrites the table when it stops.
    pub dbmode: u8,
    /// Number of processes that receive over UDP.
    pub children: u32,
    /// The allocator, for `-x` and `-X`; `None` for Kamailio's default.
    pub memory: Option<&'static str>,
    /// Relays requests within a dialog along their Route, each in a transaction, instead of answering them.
    pub relays: bool,
    /// Maximum size in bytes of the receive buffer (`maxbuffer`; the kernel doubles it); `None` for Kamailio's default.
    pub max_buffer: Option<u32>,
    /// Prints Kamailio's log on standard error when it is dropped.
    pub shows_log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            htable_db_url: None,
            table: String::new(),
            dbmode: 0,
            children: 1,
            memory: None,
            relays: false,
            max_buffer: None,
            shows_log: true,
        }
    }
}

/// The folder and the script of a Kamailio, and the Kamailio while it runs.
///
/// All of its processes are in their own pid namespace, and end with it.
#[derive(Debug)]
pub struct Kamailio {
    namespace: Namespace,
    folder: TempDir,
    memory: Option<&'static str>,
    shows_log: bool,
    process: Option<Process>,
}

impl Kamailio {
    /// Creates a Kamailio in `namespace` that will listen on `address`, UDP and TCP. It does not run yet.
    ///
    /// # Panics
    ///
    /// Panics if its files cannot be written.
    #[track_caller]
    pub fn new(namespace: &Namespace, address: SocketAddr, options: &Options) -> Self {
        let folder = tempfile::Builder::new().prefix("sip-filter-kamailio-").tempdir();
        let folder = folder.or_fail("cannot create a folder for Kamailio");
        let Options { memory, shows_log, .. } = *options;
        let kamailio = Self { namespace: namespace.clone(), folder, memory, shows_log, process: None };
        fs::write(kamailio.path("kamailio.cfg"), kamailio.script(address, options))
            .or_fail("cannot write Kamailio's script");
        kamailio
    }

    /// Starts Kamailio and waits until it responds.
    ///
    /// # Panics
    ///
    /// Panics if Kamailio ends, or does not respond in time; the message has its log.
    #[track_caller]
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let mut command = self.namespace.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "kamailio", "-DD", "-E", "-f"]).arg(self.path("kamailio.cfg"));
        command.arg("-Y").arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.or_fail("cannot open Kamailio's log"));
        if let Some(memory) = self.memory {
            command.args(["-x", memory, "-X", memory]);
        }
        let socket = self.socket();
        let process = self.process.insert(Process::spawn(&mut command));
        let started = wait::poll(TIMEOUT, || match process.try_wait() {
            Some(status) => Some(Err(status)),
            None => call(&socket, "core.version", &json!([])).is_ok().then_some(Ok(())),
        });
        match started {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!(
                "Kamailio ended: {} (if it is not installed, run `cargo xtask setup`); its log:\n{}",
                describe(status),
                self.log()
            ),
            None => panic!("Kamailio does not respond after {TIMEOUT:?}; its log:\n{}", self.log()),
        }
    }

    /// Ends Kamailio as its service does (SIGTERM), so that it writes its table with `dbmode` 1.
    ///
    /// # Panics
    ///
    /// Panics if Kamailio does not run, or does not end.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut process = self.process.take().or_fail("Kamailio does not run");
        let children = children(process.pid()).or_fail("cannot find Kamailio's main process");
        let [main] = children[..] else { panic!("one main process of Kamailio expected, not {children:?}") };
        kill(Pid::from_raw(main), Signal::SIGTERM).or_fail("cannot send SIGTERM to Kamailio");
        process.wait(TIMEOUT);
    }

    /// Returns the pids of the processes of Kamailio.
    ///
    /// # Panics
    ///
    /// Panics if Kamailio does not run.
    #[track_caller]
    pub fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.process.as_ref().or_fail("Kamailio does not run").pid()];
        let mut next = 0;
        while let Some(pid) = found.get(next).copied() {
            let children = children(pid).or_fail(format_args!("cannot list the children of Kamailio's process {pid}"));
            found.extend(children.into_iter().filter_map(|pid| u32::try_from(pid).ok()));
            next += 1;
        }
        found
    }

    /// Returns the path of the datagram socket for RPCs.
    pub fn socket(&self) -> PathBuf {
        self.path("rpc.sock")
    }

    /// Calls a method of Kamailio's RPC and returns the result.
    ///
    /// # Panics
    ///
    /// Panics if Kamailio does not reply, or replies with an error.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: &Value) -> Value {
        call(&self.socket(), method, params).or_fail(format_args!("Kamailio's RPC {method} {params}"))
    }

    /// Makes Kamailio read the rows of the htable again.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::rpc`] does.
    #[track_caller]
    pub fn reload(&self) {
        self.rpc("htable.reload", &json!(["config"]));
    }

    /// Returns the value of `maint` in Kamailio's memory, or `None` if there is no such key.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::rpc`] does.
    #[track_caller]
    pub fn flag(&self) -> Option<Value> {
        match call(&self.socket(), "htable.get", &json!(["config", "maint"])) {
            Ok(result) => Some(result["item"]["value"].clone()),
            Err(error) if error.to_string().contains(NO_SUCH_KEY) => None,
            Err(error) => panic!("Kamailio's RPC htable.get: {error:#}"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn script(&self, address: SocketAddr, options: &Options) -> String {
        let socket = self.socket();
        let table = if options.table.is_empty() { "htable_config" } else { &options.table };
        let mut modules = vec!["jsonrpcs", "sl", "pv", "siputils", "textops", "htable"];
        let (mut htable, mut database) = ("size=3;".to_owned(), String::new());
        if let Some(url) = &options.htable_db_url {
            let module = match url.split(':').next() {
                Some("sqlite") => "db_sqlite",
                Some("mysql") => "db_mysql",
                _ => "db_postgres",
            };
            modules.insert(0, module);
            htable = format!("{htable}dbtable={table};dbmode={};", options.dbmode);
            database = format!("modparam(\"htable\", \"db_url\", \"{url}\")\n");
        }
        let mut in_dialog = "";
        if options.relays {
            modules.splice(0..0, ["tm", "rr"]);
            in_dialog = "  if (has_totag() && loose_route()) {\n    t_relay();\n    exit;\n  }\n";
        }
        let buffer = options.max_buffer.map(|bytes| format!("maxbuffer={bytes}\n")).unwrap_or_default();
        let load: String = modules.iter().map(|module| ["loadmodule \"", module, ".so\"\n"].concat()).collect();
        // A child of Kamailio sometimes hangs at the end (once in some fifty runs of the tests). With ser_kill_timeout
        // it is killed after 2 s and not after 60 s.
        format!(
            "debug=2\nlog_stderror=yes\nser_kill_timeout=2\nchildren={}\ntcp_children=1\n\
             listen=udp:{address}\nlisten=tcp:{address}\n{buffer}{load}\
             modparam(\"jsonrpcs\", \"dgram_socket\", \"{}\")\n{database}\
             modparam(\"htable\", \"htable\", \"config=>{htable}\")\n\
             request_route {{\n  if (is_method(\"INVITE\") && !has_totag() && $sht(config=>maint)==\"1\") {{\n    \
             sl_send_reply(\"503\", \"Maintenance of Kamailio\");\n    exit;\n  }}\n\
             {in_dialog}  if (!is_method(\"ACK\")) sl_send_reply(\"200\", \"Routed\");\n}}\n",
            options.children,
            socket.display()
        )
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let log = self.log();
        if self.shows_log && !log.is_empty() {
            eprintln!("--- log of Kamailio ---\n{log}--- end of the log ---");
        }
    }
}

/// Returns the pids of the children of a process.
fn children(pid: u32) -> io::Result<Vec<i32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Sends `request` over its own TCP connection and returns the response.
///
/// # Panics
///
/// Panics if the proxy does not accept the connection, or there is no response.
#[track_caller]
pub fn ask_by_tcp(namespace: &Namespace, proxy: SocketAddr, request: &str) -> Message {
    let stream = namespace.run(|| TcpStream::connect_timeout(&proxy, TIMEOUT));
    let mut stream = stream.or_fail(format_args!("cannot connect to Kamailio at TCP {proxy}"));
    stream.set_read_timeout(Some(TIMEOUT)).or_fail("cannot set a read timeout");
    stream.write_all(request.as_bytes()).or_fail("cannot send a request over TCP");
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).or_fail("cannot receive a response over TCP");
        assert!(length > 0, "Kamailio closed the TCP connection without a response");
        bytes.extend_from_slice(&buffer[..length]);
    }
    Message::parse(&bytes).or_fail("cannot parse a response of Kamailio")
}

/// Calls a method of the RPC at the socket `peer`.
fn call(peer: &Path, method: &str, params: &Value) -> Result<Value> {
    let own = tempfile::tempdir().context("create a folder for a socket")?;
    let socket = UnixDatagram::bind(own.path().join("s")).context("create a socket")?;
    socket.set_read_timeout(Some(RPC_TIMEOUT)).context("set a read timeout")?;
    socket.connect(peer).with_context(|| format!("connect to {}", peer.display()))?;
    let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
    socket.send(request.to_string().as_bytes()).context("send the request")?;
    let mut buffer = vec![0; 65536];
    let length = loop {
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.context("receive the reply")?,
        }
    };
    let reply: Value = serde_json::from_slice(&buffer[..length]).context("parse the reply")?;
    match reply.get("error") {
        Some(error) => bail!("{}", error["message"]),
        None => Ok(reply["result"].clone()),
    }
}
