//! `sip-filter doctor`: what it reports of a host is what `run` meets there, and it changes nothing.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use filter_lab::database::{Kind, Server};
use filter_lab::installation::Installation;
use filter_lab::lab::Lab;
use filter_lab::namespace::Namespace;
use filter_lab::process::{self, Output};
use filter_lab::wait;
use filter_lab::wire::{PROXY_INTERFACE, WireOptions};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;

/// The findings of a run of `sip-filter doctor --json`, and its exit status.
#[derive(Debug)]
struct Report {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Report {
    #[track_caller]
    fn from_output(output: &Output) -> Self {
        let findings = serde_json::from_str(&output.stdout);
        let findings = findings.unwrap_or_else(|error| panic!("{error} in the JSON of doctor: {output:#?}"));
        Self { code: output.code, findings }
    }

    /// Runs `sip-filter doctor` with these arguments.
    #[track_caller]
    fn new(filter: &Installation, arguments: &[&str]) -> Self {
        Self::from_output(&filter.output(&[&["doctor", "--json"], arguments].concat()))
    }

    /// Returns level and check of the findings that are not ok.
    fn problems(&self) -> Vec<(String, String)> {
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or("?").to_owned();
        let problems = self.findings.iter().filter(|finding| finding["level"] != "ok");
        problems.map(|finding| (text(finding, "level"), text(finding, "check"))).collect()
    }

    /// Returns the first finding of a check.
    #[track_caller]
    fn check(&self, name: &str) -> &Value {
        let finding = self.findings.iter().find(|finding| finding["check"] == name);
        finding.unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    /// Returns the fact of the first finding of a check.
    #[track_caller]
    fn fact(&self, name: &str) -> &str {
        self.check(name)["fact"].as_str().expect("a fact")
    }

    /// Asserts that the first finding of a check has this level, a reason, a fix, and these words in it.
    #[track_caller]
    fn assert_problem(&self, name: &str, level: &str, words: &[&str]) {
        let finding = self.check(name);
        assert_eq!(finding["level"], level, "{finding:#}");
        assert!(finding["why"].as_str().is_some_and(|why| !why.is_empty()), "{finding:#}");
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding:#}");
        let text = finding.to_string();
        for word in words {
            assert!(text.contains(word), "no {word:?} in {finding:#}");
        }
    }
}

/// Returns warnings of these checks, as [`Report::problems`] does.
fn warnings<const N: usize>(checks: [&str; N]) -> Vec<(String, String)> {
    checks.map(|check| ("warning".to_owned(), check.to_owned())).into()
}

/// Creates a laboratory whose NIC leaves VLAN tags in the frames, so that there is no finding about them.
#[track_caller]
fn lab(options: WireOptions) -> Lab {
    let lab = Lab::with_wire(options);
    lab.inside.exec(&format!("ethtool -K {PROXY_INTERFACE} rxvlan off rx-vlan-stag-hw-parse off"));
    lab
}

/// Returns the files in a directory, with their times of modification and their contents.
#[track_caller]
fn files(dir: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let meta = fs::metadata(&path).expect("metadata");
        let content = if meta.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        files.insert(name.to_string_lossy().into_owned(), (meta.modified().expect("a time"), content));
    }
    files
}

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn doctor_finds_no_problem_with_a_daemon_on_a_good_interface(#[case] mode: &str) {
    let lab = lab(WireOptions { queues: 2, ..WireOptions::default() });
    let _daemon = lab.start(mode);
    let attached = lab.attached_program();

    let arguments = ["--iface", PROXY_INTERFACE, "--mode", mode];
    let text = lab.filter.run(&[&["doctor"][..], &arguments].concat());
    assert!(!text.contains("WARNING") && !text.contains("FAILURE"), "{text}");
    let report = Report::new(&lab.filter, &arguments);
    assert_eq!((report.code, report.problems()), (Some(0), warnings([])), "{report:#?}");
    let id = lab.filter.status()["interfaces"][0]["program"].to_string();
    assert!(report.fact("program").contains(&id), "{report:#?}");
    assert_eq!(lab.attached_program(), attached);
}

#[test]
fn doctor_reports_what_is_missing_before_the_first_start_and_creates_nothing() {
    let lab = lab(WireOptions::default());
    let before = files(lab.filter.dir());
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    assert_eq!(report.code, Some(3), "{report:#?}");
    assert_eq!(report.problems(), warnings(["daemon", "database"]), "{report:#?}");
    report.assert_problem("daemon", "warning", &[&lab.filter.socket().display().to_string()]);
    report.assert_problem("database", "warning", &[&lab.filter.database().display().to_string(), "sip-filter migrate"]);
    assert_eq!(files(lab.filter.dir()), before);
    assert_eq!(lab.attached_program(), None);
}

#[test]
fn doctor_reports_a_missing_interface_as_run_does_and_checks_the_others() {
    let lab = lab(WireOptions::default());
    let run = lab.filter.output(&["run", "--iface", "nope0"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let report = Report::new(&lab.filter, &["--iface", "nope0", "--iface", PROXY_INTERFACE]);
    assert_eq!(report.code, Some(1), "{report:#?}");
    report.assert_problem("interface", "failure", &["nope0", "ip link"]);
    let fact = report.fact("interface");
    assert!(run.stderr.contains(fact), "{fact:?} is not what run says: {run:#?}");
    assert_eq!(report.check("program")["interface"], PROXY_INTERFACE);
}

#[test]
fn doctor_names_a_foreign_program_and_leaves_it_attached() {
    let lab = lab(WireOptions::default());
    let other = Installation::new(&lab.inside, &Installation::binary_from_env());
    let _daemon = other.start(&["--iface", PROXY_INTERFACE, "--mode", "native"]);
    let attached = lab.attached_program().expect("a program on the interface");
    let id = attached.split(' ').skip_while(|word| *word != "id").nth(1).expect("the id of the program");

    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    assert_eq!(report.code, Some(1), "{report:#?}");
    report.assert_problem("program", "failure", &[&format!("id {id} "), "sip_filter"]);
    assert_eq!(lab.attached_program(), Some(attached));
}

#[test]
fn doctor_warns_of_an_interface_that_is_down_or_has_no_carrier() {
    let lab = lab(WireOptions::default());
    lab.outside.ip("link set wire0 down");
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    report.assert_problem("link", "warning", &["carrier"]);
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"));
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    report.assert_problem("link", "warning", &["ip link set nic0 up"]);
    assert_eq!(report.code, Some(3), "{report:#?}");
}

#[test]
fn doctor_reports_the_alarms_of_the_daemon() {
    let lab = lab(WireOptions::default());
    let _daemon = lab.start("native");
    lab.filter.apply_row("maint_percent", "many");
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    assert_eq!((report.code, report.problems()), (Some(3), warnings(["alarm"])), "{report:#?}");
    report.assert_problem("alarm", "warning", &["maint_percent", "many"]);

    lab.filter.apply_row("maint_percent", "50");
    assert_eq!(Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]).code, Some(0));
}

#[test]
fn doctor_warns_that_no_daemon_runs_after_it_was_killed() {
    let lab = lab(WireOptions::default());
    let mut daemon = lab.start("native");
    daemon.end(Signal::SIGKILL);
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    assert_eq!((report.code, report.problems()), (Some(3), warnings(["daemon"])), "{report:#?}");
}

#[test]
fn doctor_reports_more_rx_than_tx_queues_as_run_does_with_a_fix_that_works() {
    let lab = lab(WireOptions::default());
    lab.inside.ip("link add odd0 numrxqueues 2 numtxqueues 1 type veth peer name odd1");
    let report = Report::new(&lab.filter, &["--iface", "odd0"]);
    assert_eq!(report.code, Some(1), "{report:#?}");
    report.assert_problem("queues", "failure", &["2 RX", "1 TX", "ethtool -L odd0 rx 1"]);
    let run = lab.filter.output(&["run", "--iface", "odd0"]);
    let fact = report.fact("queues");
    assert!(run.code == Some(1) && run.stderr.contains(fact), "{fact:?} is not what run says: {run:#?}");

    lab.inside.exec("ethtool -L odd0 rx 1");
    assert_eq!(Report::new(&lab.filter, &["--iface", "odd0"]).check("queues")["level"], "ok");
}

/// A veth runs no XDP program if its peer has more TX queues than it has RX queues (`veth_xdp_set()`).
#[test]
fn doctor_predicts_the_mode_in_which_run_attaches() {
    let lab = lab(WireOptions::default());
    lab.inside.ip("link add few0 numrxqueues 1 numtxqueues 1 type veth peer name many0 numrxqueues 2 numtxqueues 2");
    lab.inside.ip("link set many0 up");
    lab.inside.ip("link set few0 up");
    for (interface, mode) in [("few0", "generic"), (PROXY_INTERFACE, "native")] {
        let report = Report::new(&lab.filter, &["--iface", interface]);
        let fact = report.fact("mode");
        assert!(fact.contains(&format!("{mode} mode")), "{fact}");
        let mut daemon = lab.filter.start(&["--iface", interface]);
        assert_eq!(lab.filter.status()["interfaces"][0]["mode"], mode, "{fact}");
        daemon.end(Signal::SIGTERM);
    }
    let report = Report::new(&lab.filter, &["--iface", "few0"]);
    report.assert_problem("mode", "warning", &["veth", "few0"]);
    let report = Report::new(&lab.filter, &["--iface", "few0", "--mode", "native"]);
    report.assert_problem("mode", "failure", &["veth"]);
    assert_eq!(report.code, Some(1));
    assert_eq!(Report::new(&lab.filter, &["--iface", "few0", "--mode", "generic"]).check("mode")["level"], "ok");
}

#[test]
fn doctor_warns_of_large_frames_and_stacked_devices_with_fixes_that_work() {
    let lab = Lab::with_wire(WireOptions { mtu: 9000, ..WireOptions::default() });
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    assert_eq!(report.code, Some(3), "{report:#?}");
    report.assert_problem("mtu", "warning", &["9000", "3840", "ip link set nic0 mtu 3818"]);
    lab.inside.ip("link set nic0 mtu 3818");
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    // A veth takes VLAN tags out of the frames, which does not matter without VLAN devices.
    assert_eq!(["vlan", "mtu"].map(|check| &report.check(check)["level"]), ["ok", "ok"], "{report:#?}");

    lab.inside.ip("link add br0 type bridge");
    Report::new(&lab.filter, &["--iface", "br0"]).assert_problem("kind", "warning", &["bridge", "port"]);
}

#[test]
fn doctor_warns_of_a_default_route_by_an_interface_that_is_not_shielded() {
    let lab = lab(WireOptions::default());
    lab.inside.ip("link add other0 type veth peer name other1");
    lab.inside.ip("link set other0 up");
    lab.inside.ip("link set other1 up");
    lab.inside.ip("address add 198.18.77.1/24 dev other0");
    lab.inside.ip("route add default via 198.18.77.2 dev other0");
    let report = Report::new(&lab.filter, &["--iface", PROXY_INTERFACE]);
    report.assert_problem("route", "warning", &["other0", "--iface"]);
    let both = format!("{PROXY_INTERFACE},other0");
    let findings = Report::new(&lab.filter, &["--iface", &both]).findings;
    assert!(findings.iter().all(|finding| finding["check"] != "route"), "{findings:#?}");
}

#[test]
fn doctor_checks_the_configured_interfaces_or_the_host_alone() {
    let lab = lab(WireOptions::default());
    let interfaces = |report: &Report| -> Vec<String> {
        let names = report.findings.iter().filter_map(|finding| finding["interface"].as_str().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.dedup();
        names
    };
    let report = Report::new(&lab.filter, &[]);
    assert_eq!((report.code, interfaces(&report)), (Some(3), vec![]), "{report:#?}");
    let text = lab.filter.output(&["doctor"]).stdout;
    assert!(text.contains("--iface"), "{text}");

    let config = format!("[run]\niface = [\"{PROXY_INTERFACE}\", \"lo\"]\nmode = \"generic\"\n");
    fs::write(lab.filter.config(), config).unwrap();
    let report = Report::new(&lab.filter, &[]);
    assert_eq!(interfaces(&report), [PROXY_INTERFACE, "lo"]);
    assert!(report.fact("mode").contains("generic mode"), "{report:#?}");
    let mut command = lab.filter.command();
    command.args(["doctor", "--json"]).env("SIP_FILTER_IFACE", "lo");
    assert_eq!(interfaces(&Report::from_output(&process::run(&mut command))), ["lo"]);
}

#[test]
fn doctor_names_the_capabilities_that_the_process_lacks() {
    let namespace = Namespace::new();
    let filter = Installation::new(&namespace, &Installation::binary_from_env());
    let mut command = namespace.command("setpriv");
    command
        .args(["--bounding-set=-all,+bpf,+net_admin,+net_raw", "--inh-caps=-all"])
        .arg(Installation::binary_from_env());
    command.args(["doctor", "--json", "--config"]).arg(filter.config()).arg("--socket").arg(filter.socket());
    let report = Report::from_output(&process::run(&mut command));
    assert_eq!(report.code, Some(1), "{report:#?}");
    report.assert_problem("capabilities", "failure", &[]);
    let words = report.fact("capabilities").split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
    assert_eq!(words.filter(|word| word.starts_with("CAP_")).collect::<Vec<_>>(), ["CAP_PERFMON"], "{report:#?}");
}

#[rstest]
#[case::write_ahead_log("wal")]
#[case::rollback_journal("delete")]
fn doctor_does_not_change_a_database_file(#[case] journal: &str) {
    let lab = lab(WireOptions::default());
    lab.filter.run(&["migrate"]);
    assert_eq!(lab.filter.sqlite(&format!("PRAGMA journal_mode = {journal}")).trim(), journal);
    // The last connection removes the log when it is closed, in its own thread.
    wait::until("the database to be closed", Duration::from_secs(5), || {
        !files(lab.filter.dir()).keys().any(|name| name.contains("-wal") || name.contains("-journal"))
    });
    let before = files(lab.filter.dir());
    let report = Report::new(&lab.filter, &[]);
    assert_eq!(report.check("database")["level"], "ok", "{report:#?}");
    assert!(report.fact("database").contains("version 4"), "{report:#?}");
    assert_eq!(files(lab.filter.dir()), before);
}

#[test]
fn doctor_fails_on_a_newer_schema_as_run_does() {
    let lab = lab(WireOptions::default());
    lab.filter.run(&["migrate"]);
    lab.filter.sqlite(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future', 1, x'00', 0)",
    );
    let report = Report::new(&lab.filter, &[]);
    assert_eq!(report.code, Some(1), "{report:#?}");
    report.assert_problem("database", "failure", &["migration 99", "newer"]);
    assert_eq!(lab.filter.output(&["run", "--iface", PROXY_INTERFACE]).code, Some(1));
}

#[rstest]
#[case::not_a_database("this is a text of some length, and no database at all", "not a database")]
#[case::too_short("text", "not a database")]
#[case::empty("", "htable_config")]
fn doctor_warns_of_a_file_that_is_no_database_of_ours(#[case] text: &str, #[case] word: &str) {
    let lab = lab(WireOptions::default());
    fs::write(lab.filter.database(), text).unwrap();
    let before = files(lab.filter.dir());
    let report = Report::new(&lab.filter, &[]);
    report.assert_problem("database", "warning", &[word]);
    assert_eq!((report.code, files(lab.filter.dir())), (Some(3), before), "{report:#?}");
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn doctor_checks_a_database_server_without_changing_it_or_showing_its_password(#[case] kind: Kind) {
    let mut server = Server::start(kind);
    let filter = Installation::new(&Namespace::new(), &Installation::binary_from_env()).with_url(server.url());
    Report::new(&filter, &[]).assert_problem("database", "warning", &["htable_config"]);
    let tables = server.sql("SELECT COUNT(*) FROM information_schema.tables");
    Report::new(&filter, &[]);
    assert_eq!(server.sql("SELECT COUNT(*) FROM information_schema.tables"), tables, "doctor has created a table");

    filter.run(&["migrate"]);
    let report = Report::new(&filter, &[]);
    assert!(report.fact("database").contains("version 4"), "{report:#?}");

    let url = server.url();
    let password = url.split([':', '@']).nth(2).expect("a password in the URL");
    assert!(password.len() >= 4, "{url}");
    server.kill();
    let output = filter.output(&["doctor", "--json"]);
    Report::from_output(&output).assert_problem("database", "warning", &["sip_filter:***@"]);
    assert!(!format!("{output:?}").contains(password), "the password is shown: {output:#?}");
}
