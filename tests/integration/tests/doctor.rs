//! `sip-filter doctor`: what it says of a host is what `run` meets there, and it leaves everything as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use filter_lab::database::{Kind, Server};
use filter_lab::installation::{Answer, Installation};
use filter_lab::lab::Lab;
use filter_lab::namespace::Namespace;
use filter_lab::wait;
use filter_lab::wire::{PROXY_INTERFACE, WireOptions};
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;

/// What the doctor said, as JSON.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Said {
    fn of(answer: &Answer) -> Result<Self> {
        let findings = serde_json::from_str(&answer.stdout).with_context(|| format!("JSON of doctor: {answer:#?}"))?;
        Ok(Self { code: answer.code, findings })
    }

    fn by(filter: &Installation, arguments: &[&str]) -> Result<Self> {
        Self::of(&filter.cli(&[&["doctor", "--json"], arguments].concat())?)
    }

    /// The checks that were not well, with their level.
    fn complaints(&self) -> Vec<(String, String)> {
        let word = |finding: &'_ Value, member: &str| finding[member].as_str().unwrap_or("?").to_owned();
        let bad = self.findings.iter().filter(|finding| finding["level"] != "ok");
        bad.map(|finding| (word(finding, "level"), word(finding, "check"))).collect()
    }

    /// The first finding of a check.
    fn check(&self, name: &str) -> Result<&Value> {
        self.findings.iter().find(|finding| finding["check"] == name).with_context(|| format!("no {name} in {self:#?}"))
    }

    /// It complains of this check, and says why and what to do, with these words in it.
    fn assert_says(&self, name: &str, level: &str, words: &[&str]) -> Result<()> {
        let finding = self.check(name)?;
        assert_eq!(finding["level"], level, "{finding:#}");
        assert!(finding["why"].as_str().is_some_and(|why| !why.is_empty()), "{finding:#}");
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding:#}");
        let text = finding.to_string();
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in {finding:#}"));
        Ok(())
    }
}

/// Warnings of these checks.
fn complaints<const N: usize>(checks: [&str; N]) -> Vec<(String, String)> {
    checks.map(|check| ("warning".to_owned(), check.to_owned())).into()
}

/// A laboratory whose NIC leaves VLAN tags in the frames, so that nothing is to be said of it.
fn lab(options: WireOptions) -> Result<Lab> {
    let lab = Lab::with(options)?;
    lab.inside.sh(&format!("ethtool -K {PROXY_INTERFACE} rxvlan off rx-vlan-stag-hw-parse off"))?;
    Ok(lab)
}

/// When a file was written, and what is in it.
type Contents = (SystemTime, Vec<u8>);

/// The files of an installation, with what would tell that one was written.
fn files(dir: &Path) -> Result<BTreeMap<String, Contents>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        let meta = fs::metadata(&path)?;
        let content = if meta.is_file() { fs::read(&path)? } else { Vec::new() };
        files.insert(entry.to_string_lossy().into_owned(), (meta.modified()?, content));
    }
    Ok(files)
}

#[rstest]
#[case::native("native")]
#[case::generic("generic")]
fn with_a_daemon_on_a_good_interface_all_is_well(#[case] mode: &str) -> Result<()> {
    let lab = lab(WireOptions { queues: 2, ..WireOptions::default() })?;
    let _daemon = lab.start(mode)?;
    let attached = lab.attached()?;

    let arguments = ["doctor", "--iface", PROXY_INTERFACE, "--mode", mode];
    let text = lab.filter.done(&arguments)?;
    assert!(text.ends_with("All is well.\n"), "{text}");
    let said = Said::by(&lab.filter, &arguments[1..])?;
    assert_eq!((said.code, said.complaints()), (Some(0), complaints([])), "{said:#?}");
    assert!(
        said.check("program")?["fact"].as_str().is_some_and(|fact| fact.contains("belongs to the daemon")),
        "{said:#?}"
    );
    assert_eq!(lab.attached()?, attached);
    Ok(())
}

#[test]
fn before_the_first_start_it_says_what_is_missing_and_makes_nothing() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let before = files(lab.filter.dir())?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!(said.code, Some(3), "{said:#?}");
    assert_eq!(said.complaints(), complaints(["daemon", "database"]), "{said:#?}");
    said.assert_says("daemon", "warning", &[&lab.filter.socket().display().to_string()])?;
    said.assert_says("database", "warning", &["does not exist", "sip-filter migrate"])?;
    assert_eq!(files(lab.filter.dir())?, before);
    assert_eq!(lab.attached()?, None);
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_is_told_as_run_tells_it() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let run = lab.filter.cli(&["run", "--iface", "nope0"])?;
    assert_eq!(run.code, Some(1), "{run:#?}");
    let said = Said::by(&lab.filter, &["--iface", "nope0", "--iface", PROXY_INTERFACE])?;
    assert_eq!(said.code, Some(1), "{said:#?}");
    said.assert_says("interface", "failure", &["nope0", "ip link"])?;
    let fact = said.check("interface")?["fact"].as_str().context("a fact")?;
    assert!(run.stderr.contains(fact), "{fact:?} is not what run says: {run:#?}");
    // The other one was looked at all the same.
    assert_eq!(said.check("program")?["interface"], PROXY_INTERFACE);
    Ok(())
}

#[test]
fn a_foreign_program_is_named_and_left_alone() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let other = Installation::new(&lab.inside, &Installation::binary_from_env()?)?;
    let _daemon = other.start(&["--iface", PROXY_INTERFACE, "--mode", "native"])?;
    let attached = lab.attached()?.context("no program on the interface")?;
    let id = attached.split(' ').skip_while(|word| *word != "id").nth(1).context("id of the program")?;

    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!(said.code, Some(1), "{said:#?}");
    said.assert_says("program", "failure", &[&format!("id {id} "), "sip_filter", "left alone"])?;
    assert_eq!(lab.attached()?, Some(attached));
    Ok(())
}

#[test]
fn an_interface_that_is_down_or_has_no_carrier_is_told() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    lab.outside.ip("link set wire0 down")?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    said.assert_says("link", "warning", &["no carrier"])?;
    lab.inside.ip(&format!("link set {PROXY_INTERFACE} down"))?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    said.assert_says("link", "warning", &["is down", "ip link set nic0 up"])?;
    assert_eq!(said.code, Some(3), "{said:#?}");
    Ok(())
}

#[test]
fn what_the_daemon_complains_of_is_told() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let _daemon = lab.start("native")?;
    lab.filter.apply_row("maint_percent", "many")?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!((said.code, said.complaints()), (Some(3), complaints(["alarm"])), "{said:#?}");
    said.assert_says("alarm", "warning", &["row maint_percent", "many"])?;

    lab.filter.apply_row("maint_percent", "50")?;
    assert_eq!(Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?.code, Some(0));
    Ok(())
}

#[test]
fn a_daemon_that_was_killed_is_no_daemon() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let mut daemon = lab.start("native")?;
    daemon.end(Signal::SIGKILL)?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!((said.code, said.complaints()), (Some(3), complaints(["daemon"])), "{said:#?}");
    Ok(())
}

#[test]
fn more_rx_than_tx_queues_is_told_as_run_tells_it() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    lab.inside.ip("link add odd0 numrxqueues 2 numtxqueues 1 type veth peer name odd1")?;
    let said = Said::by(&lab.filter, &["--iface", "odd0"])?;
    assert_eq!(said.code, Some(1), "{said:#?}");
    said.assert_says("queues", "failure", &["2 RX queues but only 1 TX queues", "ethtool -L odd0 rx 1"])?;
    let run = lab.filter.cli(&["run", "--iface", "odd0"])?;
    let fact = said.check("queues")?["fact"].as_str().context("a fact")?;
    assert!(run.code == Some(1) && run.stderr.contains(fact), "{fact:?} is not what run says: {run:#?}");

    // It is mended as it says.
    lab.inside.sh("ethtool -L odd0 rx 1")?;
    assert_eq!(Said::by(&lab.filter, &["--iface", "odd0"])?.check("queues")?["level"], "ok");
    Ok(())
}

/// A veth runs no XDP program if its peer could send on more queues than it has to receive (`veth_xdp_set()`).
#[test]
fn the_mode_that_it_foretells_is_the_one_in_which_run_comes_up() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    lab.inside.ip("link add few0 numrxqueues 1 numtxqueues 1 type veth peer name many0 numrxqueues 2 numtxqueues 2")?;
    lab.inside.ip("link set many0 up")?;
    lab.inside.ip("link set few0 up")?;
    for (interface, mode) in [("few0", "generic"), (PROXY_INTERFACE, "native")] {
        let said = Said::by(&lab.filter, &["--iface", interface])?;
        let fact = said.check("mode")?["fact"].as_str().context("a fact")?.to_owned();
        assert!(fact.contains(&format!("{mode} mode")), "{fact}");
        let mut daemon = lab.filter.start(&["--iface", interface])?;
        assert_eq!(lab.filter.status()?["interfaces"][0]["mode"], mode, "{fact}");
        daemon.end(Signal::SIGTERM)?;
    }
    let said = Said::by(&lab.filter, &["--iface", "few0"])?;
    said.assert_says("mode", "warning", &["veth", "few0"])?;
    let said = Said::by(&lab.filter, &["--iface", "few0", "--mode", "native"])?;
    said.assert_says("mode", "failure", &["veth"])?;
    assert_eq!(said.code, Some(1));
    assert_eq!(Said::by(&lab.filter, &["--iface", "few0", "--mode", "generic"])?.check("mode")?["level"], "ok");
    Ok(())
}

#[test]
fn vlan_tags_large_frames_and_devices_on_top_of_others_are_told() -> Result<()> {
    let lab = Lab::with(WireOptions { mtu: 9000, ..WireOptions::default() })?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!(said.code, Some(3), "{said:#?}");
    said.assert_says("vlan", "warning", &["ethtool -K nic0 rxvlan off rx-vlan-stag-hw-parse off"])?;
    said.assert_says("mtu", "warning", &["9000", "3840"])?;
    // Mended as it says.
    lab.inside.sh("ethtool -K nic0 rxvlan off rx-vlan-stag-hw-parse off")?;
    lab.inside.ip("link set nic0 mtu 3818")?;
    let said = Said::by(&lab.filter, &["--iface", PROXY_INTERFACE])?;
    assert_eq!((&said.check("vlan")?["level"], &said.check("mtu")?["level"]), (&"ok".into(), &"ok".into()));

    lab.inside.ip("link add br0 type bridge")?;
    Said::by(&lab.filter, &["--iface", "br0"])?.assert_says("kind", "warning", &["bridge", "port"])
}

#[test]
fn it_takes_the_interfaces_of_the_configuration_and_without_any_looks_at_the_host_alone() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    let interfaces = |said: &Said| -> Vec<String> {
        let mut names: Vec<String> =
            said.findings.iter().filter_map(|finding| finding["interface"].as_str().map(str::to_owned)).collect();
        names.dedup();
        names
    };
    let said = Said::by(&lab.filter, &[])?;
    assert_eq!((said.code, interfaces(&said)), (Some(3), vec![]), "{said:#?}");
    let text = lab.filter.cli(&["doctor"])?.stdout;
    assert!(text.contains("No interface was checked"), "{text}");

    fs::write(lab.filter.config(), format!("[run]\niface = [\"{PROXY_INTERFACE}\", \"lo\"]\nmode = \"generic\"\n"))?;
    let said = Said::by(&lab.filter, &[])?;
    assert_eq!(interfaces(&said), [PROXY_INTERFACE, "lo"]);
    let mode = said.check("mode")?["fact"].as_str().context("a fact")?;
    assert!(mode.contains("generic mode was chosen"), "{mode}");
    let mut command = lab.filter.command();
    command.args(["doctor", "--json"]).env("SIP_FILTER_IFACE", "lo");
    assert_eq!(interfaces(&Said::of(&Answer::of(&mut command)?)?), ["lo"]);
    Ok(())
}

#[test]
fn a_process_without_the_capabilities_is_told_which_are_missing() -> Result<()> {
    let namespace = Namespace::new()?;
    let filter = Installation::new(&namespace, &Installation::binary_from_env()?)?;
    let mut command = namespace.command("setpriv");
    command
        .args(["--bounding-set=-all,+bpf,+net_admin,+net_raw", "--inh-caps=-all"])
        .arg(Installation::binary_from_env()?);
    command.args(["doctor", "--json", "--config"]).arg(filter.config()).arg("--socket").arg(filter.socket());
    let said = Said::of(&Answer::of(&mut command)?)?;
    assert_eq!(said.code, Some(1), "{said:#?}");
    said.assert_says("capabilities", "failure", &["does not have CAP_PERFMON\""])
}

#[rstest]
#[case::log_ahead("wal")]
#[case::rollback_journal("delete")]
fn a_database_file_is_left_as_it_is(#[case] journal: &str) -> Result<()> {
    let lab = lab(WireOptions::default())?;
    lab.filter.done(&["migrate"])?;
    assert_eq!(lab.filter.sqlite(&format!("PRAGMA journal_mode = {journal}"))?.trim(), journal);
    // Who closes last does away with the log, in a thread of its own.
    wait::until("the database to be closed", Duration::from_secs(5), || {
        Ok(!files(lab.filter.dir())?.keys().any(|name| name.contains("-wal") || name.contains("-journal")))
    })?;
    let before = files(lab.filter.dir())?;
    let said = Said::by(&lab.filter, &[])?;
    let database = said.check("database")?;
    assert_eq!(database["level"], "ok", "{database:#}");
    assert!(database["fact"].as_str().is_some_and(|fact| fact.ends_with("schema has version 3")), "{database:#}");
    assert_eq!(files(lab.filter.dir())?, before);
    Ok(())
}

#[test]
fn a_schema_of_a_later_version_is_a_failure_as_it_is_for_run() -> Result<()> {
    let lab = lab(WireOptions::default())?;
    lab.filter.done(&["migrate"])?;
    lab.filter.sqlite(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time) \
         VALUES (99, 'of the future', 1, x'00', 0)",
    )?;
    let said = Said::by(&lab.filter, &[])?;
    assert_eq!(said.code, Some(1), "{said:#?}");
    said.assert_says("database", "failure", &["migration 99", "newer sip-filter"])?;
    assert_eq!(lab.filter.cli(&["run", "--iface", PROXY_INTERFACE])?.code, Some(1));
    Ok(())
}

#[rstest]
#[case::not_a_database("this is a text of some length, and no database at all", "not a database")]
#[case::too_short("text", "not a database")]
#[case::empty("", "no table htable_config")]
fn a_file_that_is_no_database_of_ours_is_told(#[case] text: &str, #[case] word: &str) -> Result<()> {
    let lab = lab(WireOptions::default())?;
    fs::write(lab.filter.database(), text)?;
    let before = files(lab.filter.dir())?;
    let said = Said::by(&lab.filter, &[])?;
    said.assert_says("database", "warning", &[word])?;
    assert_eq!((said.code, files(lab.filter.dir())?), (Some(3), before), "{said:#?}");
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_database_server_is_looked_at_and_its_password_not_shown(#[case] kind: Kind) -> Result<()> {
    let mut server = Server::start(kind)?;
    let filter = Installation::new(&Namespace::new()?, &Installation::binary_from_env()?)?.with_url(server.url());
    let said = Said::by(&filter, &[])?;
    said.assert_says("database", "warning", &["no table htable_config"])?;
    let tables = server.sql("SELECT COUNT(*) FROM information_schema.tables")?;
    let _ = Said::by(&filter, &[])?;
    assert_eq!(server.sql("SELECT COUNT(*) FROM information_schema.tables")?, tables, "it has made one");

    filter.done(&["migrate"])?;
    let database = Said::by(&filter, &[])?.check("database")?.clone();
    assert!(database["fact"].as_str().is_some_and(|fact| fact.ends_with("schema has version 3")), "{database:#}");

    let url = server.url();
    let password = url.split([':', '@']).nth(2).context("a password in the URL")?;
    assert!(password.len() >= 4, "{url}");
    server.kill()?;
    let answer = filter.cli(&["doctor", "--json"])?;
    Said::of(&answer)?.assert_says("database", "warning", &["cannot connect to it"])?;
    assert!(!format!("{answer:?}").contains(password), "the password is shown: {answer:#?}");
    Ok(())
}
