//! Tests of the layers: flag, file, default.

use std::time::Duration;

use rstest::rstest;
use tempfile::TempDir;

use super::common::{CONFIG, DATABASE, SOCKET, STATE_FILE};
use super::run::SIP_PORT;
use super::{
    AttachOptions, BusyPollWindow, Common, Config, Error, Lease, RunOptions, RunSettings, Settings, Transactions,
};
use crate::dataplane::Mode;
use crate::domain::{NodeName, TableName};
use crate::option_help::assert_help;

/// Loads a configuration file with this content, below `flags`.
fn load(flags: Common, text: &str) -> Result<Config, Error> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(Common { config: Some(path), ..flags })
}

#[track_caller]
fn settings(flags: Common, text: &str) -> Settings {
    load(flags, text).unwrap().settings().unwrap()
}

fn run(options: &RunOptions, text: &str) -> Result<RunSettings, Error> {
    load(Common::default(), text).unwrap().run_settings(options).map(|(_, run)| run)
}

fn eth0() -> RunOptions {
    RunOptions { iface: Some(vec!["eth0".parse().unwrap()]), ..RunOptions::default() }
}

const FULL: &str = r#"
    socket = "/tmp/file.sock"
    database-url = "sqlite:///tmp/file.db"
    table = "from_file"
    state-file = "/tmp/file.json"
    [run]
    iface = ["eth0", "eth1"]
    address = ["198.18.0.0/15"]
    port = [5060, 5080]
    node = "sbc7"
    mode = "native"
    zero-copy = true
    cpus = "2-5,8"
    busy-poll = 50
    lease-ms = 250
    transactions = 2048
    force-rport = true
    kamailio = "unix:/run/kamailio/rpc.sock"
    kamailio-htable = "maintenance"
    metrics = "[::1]:9464"
    log-level = "debug"
"#;

#[test]
fn flag_wins_over_the_file_and_the_file_over_the_default() {
    let flags = Common {
        socket: Some("/tmp/flag.sock".into()),
        table: Some("from_flag".parse().unwrap()),
        ..Common::default()
    };
    let over_file = settings(flags.clone(), FULL);
    assert_eq!(over_file.socket.to_str(), Some("/tmp/flag.sock"));
    assert_eq!(over_file.table.as_str(), "from_flag");
    assert_eq!(over_file.database.display().to_string(), "sqlite:///tmp/file.db");
    assert_eq!(over_file.state_file.to_str(), Some("/tmp/file.json"));
    assert_eq!(over_file.node.as_str(), "sbc7");

    let over_default = settings(flags, "");
    assert_eq!(over_default.database.display().to_string(), "sqlite:///var/lib/sip-filter/sip-filter.db");
    assert_eq!(over_default.state_file.to_str(), Some("/var/lib/sip-filter/state.json"));
}

#[test]
fn node_of_run_wins_over_the_file() {
    let options = RunOptions { node: Some("sbc8".parse().unwrap()), ..RunOptions::default() };
    let (settings, run) = load(Common::default(), FULL).unwrap().run_settings(&options).unwrap();
    assert_eq!((settings.node.as_str(), run.node.as_str()), ("sbc8", "sbc8"));
}

#[test]
fn options_of_run_come_from_flag_file_and_default() {
    let default = run(&eth0(), "").unwrap();
    assert_eq!((default.transactions.get(), default.ports(), default.metrics), (262_144, vec![5060], None));
    assert_eq!((&default.cpus, default.busy_poll.duration()), (&None, Duration::ZERO));
    assert_eq!((default.mode, default.zero_copy, default.kamailio_target()), (Mode::Auto, false, None));
    assert!(!default.force_rport);

    let flags = RunOptions { port: Some(vec![5070.try_into().unwrap()]), ..RunOptions::default() };
    let expected = RunSettings {
        iface: vec!["eth0".parse().unwrap(), "eth1".parse().unwrap()],
        address: vec!["198.18.0.0/15".parse().unwrap()],
        port: vec![5070.try_into().unwrap()],
        node: "sbc7".parse().unwrap(),
        mode: Mode::Native,
        zero_copy: true,
        cpus: Some("2-5,8".parse().unwrap()),
        busy_poll: 50.try_into().unwrap(),
        lease_ms: 250.try_into().unwrap(),
        transactions: 2048.try_into().unwrap(),
        force_rport: true,
        kamailio: Some("unix:/run/kamailio/rpc.sock".parse().unwrap()),
        kamailio_htable: "maintenance".parse().unwrap(),
        metrics: Some("[::1]:9464".parse().unwrap()),
        log_level: "debug".parse().unwrap(),
    };
    assert_eq!(run(&flags, FULL).unwrap(), expected);
}

#[test]
fn flags_of_the_responders_win_over_the_file() {
    let flags = RunOptions {
        cpus: Some("7".parse().unwrap()),
        busy_poll: Some(0.try_into().unwrap()),
        transactions: Some(1024.try_into().unwrap()),
        force_rport: Some(false),
        ..eth0()
    };
    let settings = run(&flags, FULL).unwrap();
    assert_eq!(settings.cpus, Some("7".parse().unwrap()));
    assert_eq!(settings.busy_poll.duration(), Duration::ZERO, "0 disables what the file enables");
    assert_eq!(settings.transactions.get(), 1024);
    assert!(!settings.force_rport);
}

#[test]
fn options_of_doctor_are_those_of_run() {
    let attach = AttachOptions { mode: Some(Mode::Generic), zero_copy: Some(false), ..AttachOptions::default() };
    let settings = run(&attach.into(), FULL).unwrap();
    assert_eq!((settings.mode, settings.zero_copy), (Mode::Generic, false));
    assert_eq!(settings.interfaces(), ["eth0", "eth1"]);
}

#[rstest]
#[case::unknown_key_at_the_top("sockte = \"/tmp/a\"", "sockte")]
#[case::unknown_key_in_run("[run]\nifaces = [\"eth0\"]", "ifaces")]
#[case::config_in_the_config("config = \"/tmp/b\"", "config")]
#[case::interface("[run]\niface = [\"eth/0\"]", "line 2: \"eth/0\" is not the name")]
#[case::port_zero("[run]\nport = [0]", "line 2: invalid value: integer `0`")]
#[case::port_too_high("[run]\nport = [65536]", "line 2: invalid value: integer `65536`")]
#[case::metrics_without_a_port("[run]\nmetrics = \"127.0.0.1\"", "line 2: invalid socket address")]
#[case::mode("[run]\nmode = \"turbo\"", "turbo")]
#[case::cpus("[run]\ncpus = \"5-2\"", "line 2: 5-2 is not a range of CPUs")]
#[case::cpus_as_a_number("[run]\ncpus = 2", "expected a string")]
#[case::busy_poll_negative("[run]\nbusy-poll = -1", "line 2: invalid value: integer `-1`")]
#[case::busy_poll_too_long("[run]\nbusy-poll = 1000001", "line 2: busy polling is 1 to 1000000 microseconds")]
#[case::lease("[run]\nlease-ms = 99", "line 2: a lease is 100 to 10000 ms, not 99")]
#[case::transactions("[run]\ntransactions = 1023", "line 2: the number of transactions is 1024 to 4194304, not 1023")]
#[case::log_level("[run]\nlog-level = \"loud=very\"", "line 2: \"loud=very\" is not a log level")]
#[case::kamailio_without_unix("[run]\nkamailio = \"/run/kamailio/rpc.sock\"", "unix:PATH")]
#[case::htable("[run]\nkamailio-htable = \"\"", "is not the name of an htable")]
#[case::table("table = \"a b\"", "is not a table name")]
#[case::line_of_an_unknown_key("\n\nlease = 1", "line 3")]
fn file_with_an_unknown_key_or_a_bad_value_is_an_error(#[case] text: &str, #[case] message: &str) {
    let error = load(Common::default(), text).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[rstest]
#[case::unknown_scheme("database-url = \"oracle://u:s3cret@h/d\"")]
#[case::bad_toml("database-url = \"mysql://u:s3cret@h/d")]
#[case::bad_type("database-url = [\"mysql://u:s3cret@h/d\"]")]
fn error_never_shows_the_password(#[case] text: &str) {
    let error = load(Common::default(), text).and_then(|config| config.settings()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn file_that_is_named_must_exist() {
    let flags = Common { config: Some("/nowhere/config.toml".into()), ..Common::default() };
    assert!(Config::load(flags).unwrap_err().to_string().contains("/nowhere/config.toml"));
}

#[rstest]
#[case::none(&[], "no interface is named")]
#[case::twice(&["eth0", "eth0"], "named twice")]
fn interfaces_are_at_least_one_and_each_once(#[case] names: &[&str], #[case] message: &str) {
    let iface = names.iter().map(|name| name.parse().unwrap()).collect();
    let error = run(&RunOptions { iface: Some(iface), ..RunOptions::default() }, "").unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn list_of_ports_must_not_be_empty() {
    assert!(matches!(run(&eth0(), "[run]\nport = []"), Err(Error::NoPort)));
}

#[test]
fn zero_copy_excludes_generic_mode() {
    let flags = RunOptions { mode: Some(Mode::Generic), ..eth0() };
    assert!(matches!(run(&flags, "[run]\nzero-copy = true"), Err(Error::ZeroCopyGeneric)));
    run(&flags, "").unwrap();
}

#[test]
fn help_has_the_range_and_the_default_of_each_number() {
    let words = |range: std::ops::RangeInclusive<u32>, default: u32| {
        [format!("{} to {}", range.start(), range.end()), format!("[default: {default}")]
    };
    assert_help::<RunOptions>("lease_ms", &words(Lease::RANGE, Lease::default().get()));
    assert_help::<RunOptions>("transactions", &words(Transactions::RANGE, Transactions::default().get()));
    // 0 is no busy polling.
    let window = 1..=*BusyPollWindow::RANGE.end();
    assert_help::<RunOptions>("busy_poll", &words(window, BusyPollWindow::default().get()));
}

#[test]
fn help_has_the_default_port_and_the_length_of_a_name() {
    assert_help::<RunOptions>("port", &[format!("[default: {SIP_PORT}]")]);
    assert_help::<RunOptions>("node", &[format!("1 to {} characters", NodeName::MAX)]);
}

#[test]
fn help_has_the_default_of_each_path() {
    let table = TableName::default();
    let defaults = [
        ("config", CONFIG),
        ("socket", SOCKET),
        ("database_url", DATABASE),
        ("state_file", STATE_FILE),
        ("table", table.as_str()),
    ];
    for (id, default) in defaults {
        assert_help::<Common>(id, &[format!("[default: {default}]")]);
    }
}
