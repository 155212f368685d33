//! Options: each is a flag, a variable `SIP_FILTER_…` and a key of the TOML file, in this order of precedence.
//!
//! The structs here are read both from the command line and from the file, so that an option has its name, its
//! meaning and its help in one place.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValue};
use clap::{Args, ValueEnum};
use filter_common::maps::DEFAULT_TRANSACTIONS;
use serde::Deserialize;
use thiserror::Error;

use crate::dataplane::Mode;
use crate::dataplane::cpus::CpuList;
use crate::domain::{NodeName, TableName};
use crate::kamailio::{self, HtableName};
use crate::store::{DatabaseUrl, DatabaseUrlError, GivenUrl};

const CONFIG: &str = "/etc/sip-filter/config.toml";
const SOCKET: &str = "/run/sip-filter/control.sock";
const DATABASE: &str = "sqlite:///var/lib/sip-filter/sip-filter.db";
const STATE_FILE: &str = "/var/lib/sip-filter/state.json";
const SIP_PORT: u16 = 5060;
const LEASE_MS: u64 = 1000;
/// How many transactions are remembered: so few that a test can fill the memory, so many that the kernel gives it.
const TRANSACTIONS_RANGE: RangeInclusive<u32> = 1024..=4_194_304;
/// A thread renews its lease several times within it, and a hung one has to fail open in a few seconds.
const LEASE_RANGE_MS: RangeInclusive<u64> = 100..=10_000;
/// From a poll or two after the last packet, to a thread that hardly ever sleeps while calls come.
const BUSY_POLL_RANGE_US: RangeInclusive<u32> = 1..=1_000_000;
/// `IFNAMSIZ` of the kernel, less the NUL.
const MAX_INTERFACE: usize = 15;

/// Options that each command has.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[command(next_help_heading = "Options of all commands")]
pub struct Common {
    /// Configuration file (TOML) [default: /etc/sip-filter/config.toml]
    ///
    /// Its keys are the long names of the options, those of `run` in the table [run]; an unknown key is an error.
    /// The default file may be missing, one that is named here may not.
    #[arg(long, global = true, env = "SIP_FILTER_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Control socket of the daemon [default: /run/sip-filter/control.sock]
    #[arg(long, global = true, env = "SIP_FILTER_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Database with the policy rows [default: sqlite:///var/lib/sip-filter/sip-filter.db]
    ///
    /// sqlite:///PATH, mysql://USER:PASSWORD@HOST/DATABASE (MariaDB too) or postgres://USER:PASSWORD@HOST/DATABASE. Behind
    /// them, for example: ?ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE (mysql), ?sslmode=verify-full&sslrootcert=FILE (postgres),
    /// ?socket=PATH (mysql), ?host=DIRECTORY (postgres). A URL with a password belongs into the file or the environment, for others can see the
    /// arguments of a process. It is never shown or logged with its password.
    #[arg(long, global = true, env = "SIP_FILTER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<GivenUrl>,

    /// Table with the policy rows [default: htable_config]
    ///
    /// A table as Kamailio's htable module has it (modparam "dbtable"); it may be Kamailio's own.
    #[arg(long, global = true, env = "SIP_FILTER_TABLE", value_name = "NAME")]
    pub table: Option<TableName>,

    /// File with the last applied policy [default: /var/lib/sip-filter/state.json]
    ///
    /// With it a daemon that starts while the database is down comes up in the state it went down in.
    #[arg(long, global = true, env = "SIP_FILTER_STATE_FILE", value_name = "PATH")]
    pub state_file: Option<PathBuf>,

    /// The options of `run`, which in the file are a table of their own.
    #[arg(skip)]
    #[serde(default)]
    pub run: RunOptions,
}

/// Options of `run`.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunOptions {
    /// Network interface on which calls arrive; repeat it, or separate several by commas
    #[arg(long, env = "SIP_FILTER_IFACE", value_name = "IF", value_delimiter = ',')]
    pub iface: Option<Vec<String>>,

    /// UDP port of the proxy, 1 to 65535; repeat it, or separate several by commas [default: 5060]
    #[arg(long, env = "SIP_FILTER_PORT", value_name = "N", value_delimiter = ',')]
    pub port: Option<Vec<NonZeroU16>>,

    /// Name of this host among those that share the database, 1 to 58 characters [default: the host name]
    ///
    /// The row maint@NAME is this host's own, and wins over maint.
    #[arg(long, env = "SIP_FILTER_NODE", value_name = "NAME")]
    pub node: Option<NodeName>,

    /// Where the XDP program runs [default: auto]
    ///
    /// native: in the driver, the fast way, which not each driver has. generic: in the kernel's stack, for any
    /// driver. auto: native where it works, else generic.
    #[arg(long, env = "SIP_FILTER_MODE", value_name = "MODE", value_enum, hide_possible_values = true)]
    pub mode: Option<Mode>,

    /// Bind the AF_XDP sockets in zero-copy mode
    ///
    /// Not always the faster way: on a zero-copy queue each packet that is passed is copied, and nearly all are. It takes
    /// the XDP program in the driver: with it, auto never falls back to generic.
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
    pub zero_copy: Option<bool>,

    /// CPUs on which the responders run, as 2-5,8 [default: any, as the kernel schedules them]
    ///
    /// There is one thread for each RX queue of each interface: that of the first queue is kept on the first CPU of the list, and so on,
    /// counted on from one interface to the next, and from the beginning of the list again when it is at its end. The rest of
    /// the daemon runs where it runs. Best on the CPU that has the queue's interrupt, or on one beside it.
    #[arg(long, env = "SIP_FILTER_CPUS", value_name = "LIST")]
    pub cpus: Option<CpuList>,

    /// How long a responder asks the driver for more packets after the last one, before it sleeps, in microseconds, 1 to 1000000
    /// [default: 0, not at all]
    ///
    /// Busy polling (SO_PREFER_BUSY_POLL): it saves the interrupt and the waking up, for a CPU that is busy as long as new
    /// calls come. The thread then does the driver's work for the packets of its queue that pass, too. The interrupts stay
    /// off between two looks if /sys/class/net/IF/napi_defer_hard_irqs and gro_flush_timeout are set, which is left to the
    /// operator. It needs native mode, and a kernel that knows the driver's NAPI instance: `status` says `no NAPI` if it does
    /// not, and the responder looks at nothing but its socket.
    #[arg(long, env = "SIP_FILTER_BUSY_POLL", value_name = "MICROSECONDS")]
    pub busy_poll: Option<u32>,

    /// How long a responder that makes no progress still gets new calls, in milliseconds, 100 to 10000 [default: 1000]
    ///
    /// When it is over, calls go to the proxy again.
    #[arg(long, env = "SIP_FILTER_LEASE_MS", value_name = "MS")]
    pub lease_ms: Option<u64>,

    /// Room for how many INVITEs, of those that passed and of those that were refused, 1024 to 4194304 [default: 262144]
    ///
    /// They are remembered for 32 s, so that one that is sent again gets the same answer when maintenance has been switched
    /// meanwhile. Four times as many as come in 32 s forget none: they share buckets of eight, of which a full one forgets its
    /// oldest. It is made a power of two, and each takes 8 bytes of kernel memory, twice.
    #[arg(long, env = "SIP_FILTER_TRANSACTIONS", value_name = "N")]
    pub transactions: Option<u32>,

    /// The Kamailio that is told whether maintenance is on, for calls over TCP, TLS and WebSocket
    ///
    /// unix:PATH, the datagram socket of its module jsonrpcs: unix:/run/kamailio/kamailio_rpc.sock. Its script has to
    /// refuse them.
    #[arg(long, env = "SIP_FILTER_KAMAILIO", value_name = "unix:PATH")]
    pub kamailio: Option<kamailio::Socket>,

    /// The htable whose key maint Kamailio's script looks at [default: config]
    #[arg(long, env = "SIP_FILTER_KAMAILIO_HTABLE", value_name = "NAME")]
    pub kamailio_htable: Option<HtableName>,
    /// Address and port for metrics in Prometheus' text format, GET /metrics, for example 127.0.0.1:9464 [default: none]
    ///
    /// Or [::1]:9464. Plain HTTP, and who reaches it may read it: not for an address that callers reach.
    #[arg(long, env = "SIP_FILTER_METRICS", value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,

    /// What is logged: error, warn, info, debug or trace, also per module (info,filter_user::sync=debug) [default: info]
    #[arg(long, env = "SIP_FILTER_LOG", value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// The common options, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Control socket.
    pub socket: PathBuf,
    /// Database.
    pub database: DatabaseUrl,
    /// Policy table in it.
    pub table: TableName,
    /// State file.
    pub state_file: PathBuf,
    /// Name of this host.
    pub node: NodeName,
}

/// The options of `run`, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// Interfaces, at least one.
    pub interfaces: Vec<String>,
    /// UDP ports of the proxy, at least one.
    pub ports: Vec<u16>,
    /// Where the XDP program runs.
    pub mode: Mode,
    /// Whether the AF_XDP sockets are bound in zero-copy mode.
    pub zero_copy: bool,
    /// On which CPUs the responders are kept, if on any.
    pub cpus: Option<CpuList>,
    /// For how long a responder polls the driver after the last packet; zero: not at all.
    pub busy_poll: Duration,
    /// How many INVITEs are remembered, of each of the two kinds.
    pub transactions: u32,
    /// Lease of a responder.
    pub lease: Duration,
    /// The Kamailio beside us, if there is one.
    pub kamailio: Option<kamailio::Target>,
    /// Where the metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// Directives for the log.
    pub log_level: String,
}

/// Why the options are of no use: the person has to change them.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("configuration file {}, line {line}: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it is wrong, from 1.
        line: usize,
        /// What is wrong; never with the text of the line, which may be a password.
        problem: String,
    },
    /// No interface.
    #[error("no interface to filter on: name it with --iface, SIP_FILTER_IFACE, or iface in the table [run] of {}", .0.display())]
    NoInterface(PathBuf),
    /// Not the name of an interface.
    #[error(
        "{0:?} is not the name of a network interface (1 to {MAX_INTERFACE} bytes, no blanks, no slashes); `ip link` lists them"
    )]
    InterfaceName(String),
    /// An interface twice.
    #[error("interface {0} is named twice")]
    InterfaceTwice(String),
    /// The memory of transactions.
    #[error("a memory of {0} transactions is out of range: {least} to {most}", least = TRANSACTIONS_RANGE.start(), most = TRANSACTIONS_RANGE.end())]
    Transactions(u32),
    /// The lease.
    #[error("a lease of {0} ms is out of range: {least} to {most} ms", least = LEASE_RANGE_MS.start(), most = LEASE_RANGE_MS.end())]
    Lease(u64),
    /// Busy polling.
    #[error("busy polling for {0} microseconds is out of range: {least} to {most} microseconds, or 0 for none", least = BUSY_POLL_RANGE_US.start(), most = BUSY_POLL_RANGE_US.end())]
    BusyPoll(u32),
    /// Zero-copy was asked for in generic mode.
    #[error("zero-copy needs the XDP program in the driver: leave out `--zero-copy`, or `--mode generic`")]
    ZeroCopyGeneric,
    /// No port.
    #[error("no port to filter on: leave --port out for {SIP_PORT}, or name at least one")]
    NoPort,
    /// The database URL.
    #[error(transparent)]
    Database(#[from] DatabaseUrlError),
}

/// The values of `--mode`. Not derived, since the data plane knows nothing of the command line.
impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Native, Self::Generic]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => ("auto", "In the driver if it can, otherwise in the network stack"),
            Self::Native => ("native", "In the driver, or not at all"),
            Self::Generic => ("generic", "In the network stack: works with any driver, and is slower"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl Common {
    /// Reads the file that the flags name, or the default one.
    pub fn file(&self) -> Result<Self, Error> {
        let path = self.config_path();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && self.config.is_none() => return Ok(Self::default()),
            Err(source) => return Err(Error::Read { path: path.into(), source }),
        };
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::Parse { path: path.into(), line, problem: error.message().to_owned() }
        })
    }

    fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG))
    }

    /// These options, `file` where there is none, and the default where there is none either.
    pub fn resolve(&self, file: &Self) -> Result<Settings, Error> {
        let database = self.database_url.clone().or_else(|| file.database_url.clone());
        Ok(Settings {
            socket: self.socket.clone().or_else(|| file.socket.clone()).unwrap_or_else(|| SOCKET.into()),
            database: database.unwrap_or_else(|| DATABASE.into()).parse()?,
            table: self.table.clone().or_else(|| file.table.clone()).unwrap_or_default(),
            state_file: self
                .state_file
                .clone()
                .or_else(|| file.state_file.clone())
                .unwrap_or_else(|| STATE_FILE.into()),
            node: file.run.node.clone().unwrap_or_else(host_name),
        })
    }
}

impl RunOptions {
    /// These options, those of the file where there is none, and the default where there is none either.
    pub fn resolve(&self, common: &Common, file: &Common) -> Result<RunSettings, Error> {
        let interfaces = self.iface.clone().or_else(|| file.run.iface.clone()).unwrap_or_default();
        check_interfaces(&interfaces, common)?;
        let ports = self.port.as_ref().or(file.run.port.as_ref());
        let ports = ports.map_or_else(|| vec![SIP_PORT], |ports| ports.iter().map(|port| port.get()).collect());
        if ports.is_empty() {
            return Err(Error::NoPort);
        }
        let transactions = self.transactions.or(file.run.transactions).unwrap_or(DEFAULT_TRANSACTIONS);
        if !TRANSACTIONS_RANGE.contains(&transactions) {
            return Err(Error::Transactions(transactions));
        }
        let lease_ms = self.lease_ms.or(file.run.lease_ms).unwrap_or(LEASE_MS);
        if !LEASE_RANGE_MS.contains(&lease_ms) {
            return Err(Error::Lease(lease_ms));
        }
        let busy_poll = self.busy_poll.or(file.run.busy_poll).unwrap_or(0);
        if busy_poll != 0 && !BUSY_POLL_RANGE_US.contains(&busy_poll) {
            return Err(Error::BusyPoll(busy_poll));
        }
        let kamailio = self.kamailio.clone().or_else(|| file.run.kamailio.clone());
        let htable = self.kamailio_htable.clone().or_else(|| file.run.kamailio_htable.clone()).unwrap_or_default();
        let mode = self.mode.or(file.run.mode).unwrap_or(Mode::Auto);
        let zero_copy = self.zero_copy.or(file.run.zero_copy).unwrap_or(false);
        if zero_copy && mode == Mode::Generic {
            return Err(Error::ZeroCopyGeneric);
        }
        Ok(RunSettings {
            interfaces,
            ports,
            mode,
            zero_copy,
            cpus: self.cpus.clone().or_else(|| file.run.cpus.clone()),
            busy_poll: Duration::from_micros(busy_poll.into()),
            lease: Duration::from_millis(lease_ms),
            transactions,
            kamailio: kamailio.map(|socket| kamailio::Target { socket, htable }),
            metrics: self.metrics.or(file.run.metrics),
            log_level: self.log_level.clone().or_else(|| file.run.log_level.clone()).unwrap_or_else(|| "info".into()),
        })
    }
}

/// Returns the host name, as the kernel has it, as the name of this host among those that share the database.
fn host_name() -> NodeName {
    NodeName::from_host_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}

fn check_interfaces(interfaces: &[String], common: &Common) -> Result<(), Error> {
    if interfaces.is_empty() {
        return Err(Error::NoInterface(common.config_path().into()));
    }
    for (index, name) in interfaces.iter().enumerate() {
        let bad = |byte: u8| byte == b'/' || byte.is_ascii_whitespace() || byte == 0;
        if name.is_empty() || name.len() > MAX_INTERFACE || name.bytes().any(bad) {
            return Err(Error::InterfaceName(name.clone()));
        }
        if interfaces[..index].contains(name) {
            return Err(Error::InterfaceTwice(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::{Common, Error, RunOptions, RunSettings};
    use crate::dataplane::Mode;
    use crate::kamailio;

    fn file(text: &str) -> Result<Common, Error> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        Common { config: Some(path), ..Common::default() }.file()
    }

    const FULL: &str = r#"
        socket = "/tmp/file.sock"
        database-url = "sqlite:///tmp/file.db"
        table = "from_file"
        state-file = "/tmp/file.json"
        [run]
        iface = ["eth0", "eth1"]
        port = [5060, 5080]
        mode = "native"
        zero-copy = true
        cpus = "2-5,8"
        busy-poll = 50
        lease-ms = 250
        transactions = 2048
        kamailio = "unix:/run/kamailio/rpc.sock"
        kamailio-htable = "maintenance"
        metrics = "[::1]:9464"
        log-level = "debug"
    "#;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let flags = Common {
            socket: Some("/tmp/flag.sock".into()),
            table: Some("from_flag".parse().unwrap()),
            ..Common::default()
        };
        let settings = flags.resolve(&file(FULL).unwrap()).unwrap();
        assert_eq!(settings.socket.to_str(), Some("/tmp/flag.sock"));
        assert_eq!(settings.table.as_str(), "from_flag");
        assert_eq!(settings.database.display().to_string(), "sqlite:///tmp/file.db");
        assert_eq!(settings.state_file.to_str(), Some("/tmp/file.json"));

        let settings = flags.resolve(&Common::default()).unwrap();
        assert_eq!(settings.database.display().to_string(), "sqlite:///var/lib/sip-filter/sip-filter.db");
        assert_eq!(settings.state_file.to_str(), Some("/var/lib/sip-filter/state.json"));
    }

    #[test]
    fn run_options_come_from_the_file_too() {
        let flags = RunOptions { port: Some(vec![5070.try_into().unwrap()]), ..RunOptions::default() };
        let only_interfaces = RunOptions { iface: Some(vec!["eth0".into()]), ..RunOptions::default() };
        let default = only_interfaces.resolve(&Common::default(), &Common::default()).unwrap();
        assert_eq!((default.transactions, default.ports, default.metrics), (262_144, vec![5060], None));
        assert_eq!((default.cpus, default.busy_poll), (None, Duration::ZERO));

        let settings = flags.resolve(&Common::default(), &file(FULL).unwrap()).unwrap();
        let expected = RunSettings {
            interfaces: vec!["eth0".into(), "eth1".into()],
            ports: vec![5070],
            mode: Mode::Native,
            zero_copy: true,
            cpus: Some("2-5,8".parse().unwrap()),
            busy_poll: Duration::from_micros(50),
            lease: Duration::from_millis(250),
            transactions: 2048,
            kamailio: Some(kamailio::Target {
                socket: "unix:/run/kamailio/rpc.sock".parse().unwrap(),
                htable: "maintenance".parse().unwrap(),
            }),
            metrics: Some("[::1]:9464".parse().unwrap()),
            log_level: "debug".into(),
        };
        assert_eq!(settings, expected);
    }

    #[rstest]
    #[case::at_the_top("sockte = \"/tmp/a\"", "sockte")]
    #[case::in_run("[run]\nifaces = [\"eth0\"]", "ifaces")]
    #[case::config_in_the_config("config = \"/tmp/b\"", "config")]
    #[case::port_zero("[run]\nport = [0]", "line 2: invalid value: integer `0`")]
    #[case::port_too_high("[run]\nport = [65536]", "line 2: invalid value: integer `65536`")]
    #[case::metrics_without_a_port("[run]\nmetrics = \"127.0.0.1\"", "line 2: invalid socket address")]
    #[case::mode("[run]\nmode = \"turbo\"", "turbo")]
    #[case::cpus("[run]\ncpus = \"5-2\"", "line 2: 5-2 is not a range of CPUs")]
    #[case::cpus_as_a_number("[run]\ncpus = 2", "expected a string")]
    #[case::busy_poll("[run]\nbusy-poll = -1", "line 2: invalid value: integer `-1`")]
    #[case::kamailio_without_unix("[run]\nkamailio = \"/run/kamailio/rpc.sock\"", "unix:PATH is wanted")]
    #[case::htable("[run]\nkamailio-htable = \"\"", "is not the name of an htable")]
    #[case::table("table = \"a b\"", "is not a table name")]
    #[case::with_its_line("\n\nlease = 1", "line 3")]
    fn what_the_file_must_not_say(#[case] text: &str, #[case] message: &str) {
        let error = file(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[rstest]
    #[case::unknown_scheme("database-url = \"oracle://u:s3cret@h/d\"")]
    #[case::bad_toml("database-url = \"mysql://u:s3cret@h/d")]
    #[case::bad_type("database-url = [\"mysql://u:s3cret@h/d\"]")]
    fn an_error_never_shows_the_password(#[case] text: &str) {
        let error = match file(text) {
            Ok(options) => options.resolve(&Common::default()).unwrap_err(),
            Err(error) => error,
        };
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let flags = Common { config: Some("/nowhere/config.toml".into()), ..Common::default() };
        assert!(flags.file().unwrap_err().to_string().contains("/nowhere/config.toml"));
    }

    #[rstest]
    #[case::none(&[], "no interface to filter on")]
    #[case::empty(&[""], "is not the name")]
    #[case::too_long(&["a-name-of-16-byt"], "is not the name")]
    #[case::slash(&["eth/0"], "is not the name")]
    #[case::twice(&["eth0", "eth0"], "named twice")]
    fn interfaces_that_cannot_be(#[case] names: &[&str], #[case] message: &str) {
        let flags =
            RunOptions { iface: Some(names.iter().map(|name| (*name).into()).collect()), ..RunOptions::default() };
        let error = flags.resolve(&Common::default(), &Common::default()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[rstest]
    #[case::too_few(1023, false)]
    #[case::fewest(1024, true)]
    #[case::most(4_194_304, true)]
    #[case::too_many(4_194_305, false)]
    fn how_many_transactions_are_remembered(#[case] transactions: u32, #[case] valid: bool) {
        let iface = Some(vec!["eth0".into()]);
        let flags = RunOptions { iface, transactions: Some(transactions), ..RunOptions::default() };
        let resolved = flags.resolve(&Common::default(), &file("[run]\ntransactions = 2048").unwrap());
        match resolved {
            Ok(settings) => assert!(valid && settings.transactions == transactions, "the flag wins: {settings:?}"),
            Err(error) => assert!(!valid && error.to_string().contains("1024 to 4194304"), "{error}"),
        }
    }

    #[test]
    fn zero_copy_is_not_for_generic_mode() {
        let iface = Some(vec!["eth0".into()]);
        let flags = RunOptions { iface, mode: Some(Mode::Generic), ..RunOptions::default() };
        let resolved = flags.resolve(&Common::default(), &file("[run]\nzero-copy = true").unwrap());
        assert!(matches!(resolved, Err(Error::ZeroCopyGeneric)));
        assert!(flags.resolve(&Common::default(), &Common::default()).is_ok());
    }

    #[test]
    fn cpus_and_busy_polling_of_a_flag_win_over_the_file() {
        let iface = Some(vec!["eth0".into()]);
        let flags = RunOptions { iface, cpus: Some("7".parse().unwrap()), busy_poll: Some(0), ..RunOptions::default() };
        let settings = flags.resolve(&Common::default(), &file(FULL).unwrap()).unwrap();
        assert_eq!(settings.cpus, Some("7".parse().unwrap()));
        assert_eq!(settings.busy_poll, Duration::ZERO, "0 switches off what the file has switched on");
    }

    #[rstest]
    #[case::off(0, true)]
    #[case::shortest(1, true)]
    #[case::longest(1_000_000, true)]
    #[case::too_long(1_000_001, false)]
    fn how_long_the_driver_is_polled(#[case] busy_poll: u32, #[case] valid: bool) {
        let iface = Some(vec!["eth0".into()]);
        let flags = RunOptions { iface, busy_poll: Some(busy_poll), ..RunOptions::default() };
        match flags.resolve(&Common::default(), &Common::default()) {
            Ok(settings) => assert!(valid && settings.busy_poll == Duration::from_micros(busy_poll.into())),
            Err(error) => assert!(!valid && error.to_string().contains("1 to 1000000"), "{error}"),
        }
    }

    #[rstest]
    #[case(99)]
    #[case(10_001)]
    fn a_lease_out_of_range(#[case] lease_ms: u64) {
        let flags = RunOptions { iface: Some(vec!["eth0".into()]), lease_ms: Some(lease_ms), ..RunOptions::default() };
        assert!(matches!(flags.resolve(&Common::default(), &Common::default()), Err(Error::Lease(_))));
    }
}
