//! A real Kamailio as the proxy: its script refuses new calls while `$sht(config=>maint)=="1"`, and takes the others.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::message::Message;
use crate::namespace::Namespace;
use crate::process::{Process, describe};
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(10);

/// What Kamailio's htable `config` is like, and how Kamailio runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:///PATH`, `mysql://…` or `postgres://…`; none: the table is in memory only.
    pub htable_db_url: Option<String>,
    /// The table in that database; empty: `htable_config`.
    pub table: String,
    /// 1: Kamailio rewrites the table when it stops.
    pub dbmode: u8,
    /// Processes that receive over UDP.
    pub children: u32,
    /// Its allocator, for `-x` and `-X`; none: the one that it comes with.
    pub memory: Option<&'static str>,
    /// Requests within a dialog are relayed along their Route, each in a transaction; otherwise Kamailio answers them itself.
    pub relays: bool,
    /// Up to how many octets it has the kernel queue for it (`maxbuffer`; the kernel doubles it); none: its own choice.
    pub max_buffer: Option<u32>,
    /// Its log goes to standard error when it is dropped, for whoever wants to know why a test has failed.
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

/// The folder and the script of a Kamailio, and the Kamailio while it runs. All of its processes are in a pid namespace of
/// their own, whose end ends them.
#[derive(Debug)]
pub struct Kamailio {
    namespace: Namespace,
    folder: TempDir,
    memory: Option<&'static str>,
    shows_log: bool,
    process: Option<Process>,
}

impl Kamailio {
    /// A Kamailio in `namespace` that will listen on `address`, UDP and TCP. It does not run yet.
    pub fn new(namespace: &Namespace, address: SocketAddr, options: &Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sip-filter-kamailio-").tempdir().context("a folder")?;
        let Options { memory, shows_log, .. } = *options;
        let kamailio = Self { namespace: namespace.clone(), folder, memory, shows_log, process: None };
        fs::write(kamailio.path("kamailio.cfg"), kamailio.script(address, options)).context("Kamailio's script")?;
        Ok(kamailio)
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.path("log")).context("Kamailio's log")?;
        let mut command = self.namespace.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "kamailio", "-DD", "-E", "-f"]).arg(self.path("kamailio.cfg"));
        command.arg("-Y").arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some(memory) = self.memory {
            command.args(["-x", memory, "-X", memory]);
        }
        let process = self.process.insert(Process::spawn(&mut command)?);
        let (socket, log) = (self.folder.path().join("rpc.sock"), self.folder.path().join("log"));
        let answers = wait::until("Kamailio to answer", PATIENCE, || {
            if let Some(status) = process.ended()? {
                bail!("Kamailio ended: {} (is it installed? `cargo xtask setup`)", describe(status));
            }
            Ok(ask(&socket, "core.version", &json!([])).is_ok())
        });
        answers.with_context(|| fs::read_to_string(log).unwrap_or_default())?;
        Ok(())
    }

    /// Ends it as its service does (SIGTERM), so that it writes its table with `dbmode` 1.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("Kamailio does not run")?;
        let children = format!("/proc/{0}/task/{0}/children", process.pid());
        let main = fs::read_to_string(children).context("Kamailio's main process")?;
        let main = main.trim().parse().with_context(|| format!("one pid, not {main:?}"))?;
        kill(Pid::from_raw(main), Signal::SIGTERM).context("SIGTERM to Kamailio")?;
        process.wait(PATIENCE).context("Kamailio after SIGTERM")?;
        Ok(())
    }

    /// The pids of its processes, while it runs.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut found = vec![self.process.as_ref().context("Kamailio does not run")?.pid()];
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            let children = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(&children).with_context(|| format!("read {children}"))?;
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            next += 1;
        }
        Ok(found)
    }

    /// Its datagram socket.
    pub fn socket(&self) -> PathBuf {
        self.path("rpc.sock")
    }

    /// Calls a method of its RPC: the result, or an error with its message.
    pub fn rpc(&self, method: &str, params: &Value) -> Result<Value> {
        ask(&self.socket(), method, params)
    }

    /// Has it read the htable's rows again.
    pub fn reload(&self) -> Result<()> {
        self.rpc("htable.reload", &json!(["config"])).map(|_| ())
    }

    /// The value of `maint` in its memory; none if there is no such key.
    pub fn flag(&self) -> Result<Option<Value>> {
        match self.rpc("htable.get", &json!(["config", "maint"])) {
            Ok(result) => Ok(Some(result["item"]["value"].clone())),
            Err(error) if error.to_string().contains("Key name doesn't exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, address: SocketAddr, options: &Options) -> String {
        let socket = self.socket();
        let table = if options.table.is_empty() { "htable_config" } else { &options.table };
        let (mut modules, mut htable) =
            (vec!["jsonrpcs", "sl", "pv", "siputils", "textops", "htable"], "size=3;".into());
        let mut database = String::new();
        if let Some(url) = &options.htable_db_url {
            modules.insert(
                0,
                match url.split(':').next() {
                    Some("sqlite") => "db_sqlite",
                    Some("mysql") => "db_mysql",
                    _ => "db_postgres",
                },
            );
            htable = format!("size=3;dbtable={table};dbmode={};", options.dbmode);
            database = format!("modparam(\"htable\", \"db_url\", \"{url}\")\n");
        }
        let mut within = "";
        if options.relays {
            modules.splice(0..0, ["tm", "rr"]);
            within = "  if (has_totag() && loose_route()) {\n    t_relay();\n    exit;\n  }\n";
        }
        let buffer = options.max_buffer.map(|octets| format!("maxbuffer={octets}\n")).unwrap_or_default();
        let load: String = modules.iter().map(|module| format!("loadmodule \"{module}.so\"\n")).collect();
        // At the end a child of Kamailio hangs at times (seen once in some fifty runs of the tests): then it is killed after 2 s, not 60.
        format!(
            "debug=2\nlog_stderror=yes\nser_kill_timeout=2\nchildren={}\ntcp_children=1\nlisten=udp:{address}\nlisten=tcp:{address}\n\
             {buffer}{load}modparam(\"jsonrpcs\", \"dgram_socket\", \"{}\")\n{database}\
             modparam(\"htable\", \"htable\", \"config=>{htable}\")\n\
             request_route {{\n  if (is_method(\"INVITE\") && !has_totag() && $sht(config=>maint)==\"1\") {{\n    \
             sl_send_reply(\"503\", \"Maintenance of Kamailio\");\n    exit;\n  }}\n\
             {within}  if (!is_method(\"ACK\")) sl_send_reply(\"200\", \"Routed\");\n}}\n",
            options.children,
            socket.display()
        )
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        if self.shows_log && !log.is_empty() {
            eprintln!("--- log of Kamailio ---\n{log}--- end of the log ---");
        }
    }
}

/// Sends `request` over a TCP connection of its own and returns the response.
pub fn ask_by_tcp(namespace: &Namespace, proxy: SocketAddr, request: &str) -> Result<Message> {
    let mut stream = namespace.run(|| TcpStream::connect_timeout(&proxy, PATIENCE))?.context("TCP to Kamailio")?;
    stream.set_read_timeout(Some(PATIENCE)).context("set a read timeout")?;
    stream.write_all(request.as_bytes()).context("send by TCP")?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).context("a response by TCP")?;
        ensure!(length > 0, "Kamailio closed the connection");
        bytes.extend_from_slice(&buffer[..length]);
    }
    Message::parse(&bytes)
}

fn ask(peer: &Path, method: &str, params: &Value) -> Result<Value> {
    let own = tempfile::tempdir().context("a folder for a socket")?;
    let socket = UnixDatagram::bind(own.path().join("s")).context("a socket")?;
    socket.set_read_timeout(Some(Duration::from_secs(2))).context("set a read timeout")?;
    socket.connect(peer).with_context(|| format!("connect to {}", peer.display()))?;
    let request = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
    socket.send(request.to_string().as_bytes()).context("send to Kamailio")?;
    let mut buffer = vec![0; 65536];
    let length = loop {
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other.with_context(|| format!("Kamailio's answer to {method}"))?,
        }
    };
    let answer: Value = serde_json::from_slice(&buffer[..length]).context("JSON of Kamailio")?;
    match answer.get("error") {
        Some(error) => bail!("{method}: {}", error["message"]),
        None => Ok(answer["result"].clone()),
    }
}
