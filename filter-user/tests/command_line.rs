//! The binary, as people and scripts call it: options, exit status, and what works without a daemon.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails where it is wrong")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output};

use rstest::rstest;
use tempfile::TempDir;

/// A connection that is dropped closes in its own thread, and the last one locks the file for a moment.
const WITH_TIMEOUT: [&str; 2] = ["-cmd", ".timeout 10000"];

struct Host {
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite://{}", self.path(name).display())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Returns `sip-filter` with these arguments, in an environment that names only this host's paths.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sip-filter"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SIP_FILTER_")) {
            command.env_remove(name);
        }
        command.env("SIP_FILTER_SOCKET", self.path("control.sock")).args(arguments);
        command
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn sqlite3(path: PathBuf, statement: &str) -> String {
    let output = Command::new("sqlite3").args(WITH_TIMEOUT).arg(path).arg(statement).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

#[test]
fn flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let host = Host::new();
    let config = host.file("config.toml", &format!("database-url = \"{}\"", host.url("file.db")));
    let config = config.to_str().unwrap();
    let (flag, environment) = (host.url("flag.db"), host.url("environment.db"));

    exits(&host.command(&["--config", config, "migrate"]).output().unwrap(), 0);
    assert!(host.path("file.db").exists());

    let in_environment = |arguments: &[&str]| {
        host.command(arguments)
            .env("SIP_FILTER_CONFIG", config)
            .env("SIP_FILTER_DATABASE_URL", &environment)
            .output()
            .unwrap()
    };
    exits(&in_environment(&["migrate"]), 0);
    assert!(host.path("environment.db").exists());
    assert!(!host.path("flag.db").exists());
    std::fs::remove_file(host.path("environment.db")).unwrap();
    exits(&in_environment(&["migrate", "--database-url", &flag]), 0);
    assert!(host.path("flag.db").exists());
    assert!(!host.path("environment.db").exists());
}

#[rstest]
#[case::no_command(&[], "Usage")]
#[case::unknown_command(&["stop"], "stop")]
#[case::no_interface(&["run"], "--iface")]
#[case::port_zero(&["run", "--iface", "eth0", "--port", "0"], "--port")]
#[case::port_too_high(&["run", "--iface", "eth0", "--port", "65536"], "--port")]
#[case::unknown_mode(&["run", "--iface", "eth0", "--mode", "turbo"], "turbo")]
#[case::lease(&["run", "--iface", "eth0", "--lease-ms", "5"], "100 to 10000 ms")]
#[case::cpus(&["run", "--iface", "eth0", "--cpus", "two"], "for example 2-5,8")]
#[case::cpus_empty(&["run", "--iface", "eth0", "--cpus", ""], "for example 2-5,8")]
#[case::cpus_backwards(&["run", "--iface", "eth0", "--cpus", "5-2"], "give the lower number first")]
#[case::cpus_too_high(&["run", "--iface", "eth0", "--cpus", "0,1024"], "there is no CPU 1024")]
#[case::cpu_twice(&["run", "--iface", "eth0", "--cpus", "0-3,2"], "CPU 2 is listed twice")]
#[case::busy_poll(&["run", "--iface", "eth0", "--busy-poll", "1000001"], "1 to 1000000")]
#[case::busy_poll_with_a_unit(&["run", "--iface", "eth0", "--busy-poll", "50us"], "--busy-poll")]
#[case::transactions(&["run", "--iface", "eth0", "--transactions", "100"], "1024 to 4194304")]
#[case::log_level(&["run", "--iface", "eth0", "--log-level", "loud=very"], "log level")]
#[case::code(&["on", "--code", "200"], "400 to 699")]
#[case::reason(&["on", "--reason", "a\r\nContact: <sip:x@y>"], "reason phrase")]
#[case::retry_after(&["on", "--retry-after", "86401"], "86400")]
#[case::percent_zero(&["on", "--percent", "0"], "1 to 100")]
#[case::percent_too_high(&["on", "--percent", "101"], "1 to 100")]
#[case::never_refused(&["on", "--methods", "INVITE,BYE"], "BYE is never refused")]
#[case::unknown_method(&["on", "--methods", "INVITE,FOO"], "REGISTER, SUBSCRIBE, MESSAGE, PUBLISH, OPTIONS")]
#[case::host_bits(&["bypass", "add", "10.0.0.0/8", "198.18.1.7/15"], "198.18.0.0/15 would be the whole range")]
#[case::no_prefix(&["bypass", "add", "proxy.example.com"], "not an IPv4 or IPv6 address")]
#[case::prefix_missing(&["bypass", "add"], "PREFIX")]
#[case::user(&["emergency", "add", "sip:911@example.com"], "is not a user part")]
#[case::scope_without_entries(&["scope", "add"], "--source")]
#[case::scope_of_both(&["scope", "add", "--source", "10.0.0.0/8", "--destination", "198.18.0.2"], "cannot be used with")]
#[case::scope_without_a_kind(&["scope", "add", "10.0.0.0/8"], "unexpected argument")]
#[case::scope_source(&["scope", "add", "--source", "198.18.1.7/15"], "198.18.0.0/15 would be the whole range")]
#[case::scope_destination(&["scope", "add", "--destination", "198.18.0.2:0"], "is not a UDP port")]
#[case::scope_loopback(&["scope", "add", "--destination", "127.0.0.1"], "is a loopback address")]
#[case::exemption_why(&["emergency", "remove", "911", "--why", "a\nb"], "line breaks")]
#[case::why(&["off", "--why", "a\nb"], "line breaks")]
#[case::table(&["migrate", "--table", "a b"], "table name")]
#[case::database(&["migrate", "--database-url", "oracle://u:s3cret@h/d"], "oracle://u:***@h/d")]
#[case::config_not_there(&["status", "--config", "/nowhere.toml"], "/nowhere.toml")]
fn wrong_usage_is_explained_with_exit_status_2(#[case] arguments: &[&str], #[case] message: &str) {
    let output = Host::new().command(arguments).output().unwrap();
    exits(&output, 2);
    let error = text(&output.stderr);
    assert!(error.contains(message), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[rstest]
#[case::cpus("SIP_FILTER_CPUS", "4-", "--cpus")]
#[case::busy_poll("SIP_FILTER_BUSY_POLL", "-1", "--busy-poll")]
fn variable_is_checked_like_its_flag(#[case] name: &str, #[case] value: &str, #[case] flag: &str) {
    let output = Host::new().command(&["run", "--iface", "eth0"]).env(name, value).output().unwrap();
    exits(&output, 2);
    let error = text(&output.stderr);
    assert!(error.contains(value) && error.contains(flag), "{error}");
}

#[test]
fn unknown_key_in_the_file_is_wrong_usage() {
    let host = Host::new();
    let config = host.file("config.toml", "[run]\niface = [\"eth0\"]\nprot = [5060]\n");
    let output = host.command(&["status", "--config", config.to_str().unwrap()]).output().unwrap();
    exits(&output, 2);
    let error = text(&output.stderr);
    assert!(error.contains("line 3") && error.contains("prot"), "{error}");
}

#[rstest]
#[case(&["status"])]
#[case(&["reload"])]
#[case(&["stats"])]
fn command_that_needs_a_daemon_fails_without_one(#[case] arguments: &[&str]) {
    let output = Host::new().command(arguments).output().unwrap();
    exits(&output, 1);
    assert!(text(&output.stderr).contains("no daemon listens on"), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
}

#[test]
fn switch_without_a_daemon_is_written_and_reported_as_not_applied() {
    let host = Host::new();
    let url = host.url("sip-filter.db");
    exits(&host.command(&["migrate", "--database-url", &url, "--table", "htable"]).output().unwrap(), 0);
    let on = ["on", "--database-url", &url, "--table", "htable", "--code", "480", "--why", "upgrade"];
    let output = host.command(&on).output().unwrap();
    exits(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("NOT APPLIED") && shown.contains("maint = 1, maint_code = 480"), "{shown}");

    let output = host.command(&["off", "--json", "--database-url", &url, "--table", "htable"]).output().unwrap();
    exits(&output, 0);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["applied"], false);
    assert_eq!(shown["written"], serde_json::json!({"maint": "0"}));

    let rows = sqlite3(host.path("sip-filter.db"), "SELECT key_name, key_value FROM htable ORDER BY id");
    assert_eq!(rows, "maint|0\nmaint_code|480");
    let events = sqlite3(host.path("sip-filter.db"), "SELECT action, via, why FROM sip_filter_event ORDER BY id");
    assert_eq!(events, "on|database|upgrade\noff|database|");
}

#[test]
fn switch_without_a_database_fails_and_names_the_command_that_creates_one() {
    let host = Host::new();
    let output = host.command(&["on", "--database-url", &host.url("mistyped.db")]).output().unwrap();
    exits(&output, 1);
    let error = text(&output.stderr);
    assert!(error.contains("mistyped.db does not exist") && error.contains("sip-filter migrate"), "{error}");
    assert!(!host.path("mistyped.db").exists());
}

#[test]
fn option_that_is_not_given_leaves_its_row_as_it_is() {
    let host = Host::new();
    let url = host.url("sip-filter.db");
    exits(&host.command(&["migrate", "--database-url", &url]).output().unwrap(), 0);
    let switch = |arguments: &[&str]| {
        let output = host.command(arguments).args(["--database-url", &url]).output().unwrap();
        exits(&output, 0);
        text(&output.stdout)
    };
    let rows = || sqlite3(host.path("sip-filter.db"), "SELECT key_name, key_value FROM htable_config ORDER BY id");
    let shown = switch(&["on", "--percent", "30", "--methods", "OPTIONS, INVITE"]);
    assert!(shown.contains("maint_percent = 30") && shown.contains("maint_methods = INVITE,OPTIONS"), "{shown}");
    assert_eq!(rows(), "maint|1\nmaint_percent|30\nmaint_methods|INVITE,OPTIONS");
    switch(&["off"]);
    switch(&["on"]);
    assert_eq!(rows(), "maint|1\nmaint_percent|30\nmaint_methods|INVITE,OPTIONS");
    switch(&["on", "--percent", "100", "--methods", "INVITE"]);
    assert_eq!(rows(), "maint|1\nmaint_percent|100\nmaint_methods|INVITE");
}

impl Host {
    /// Runs `sip-filter` on this host's database, which exists.
    fn on_database(&self, arguments: &[&str]) -> Output {
        let url = self.url("sip-filter.db");
        exits(&self.command(&["migrate", "--database-url", &url]).output().unwrap(), 0);
        self.command(arguments).args(["--database-url", &url]).output().unwrap()
    }
}

/// Returns the words of each line.
fn words(output: &Output) -> Vec<Vec<String>> {
    text(&output.stdout).lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn exemptions_without_a_daemon_are_written_and_reported_as_not_applied() {
    let host = Host::new();
    let add = ["bypass", "add", "198.18.0.0/15", "2001:DB8::1", "--why", "test callers"];
    let output = host.on_database(&add);
    exits(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("added        2001:db8::1/128\n") && shown.contains("NOT APPLIED"), "{shown}");
    assert!(shown.contains("2 bypass prefixes"), "{shown}");

    let output = host.on_database(&["bypass", "add", "198.18.0.0/15"]);
    exits(&output, 0);
    assert!(text(&output.stdout).contains("198.18.0.0/15 (was there already"), "{}", text(&output.stdout));

    let lines = words(&host.on_database(&["bypass", "list"]));
    assert_eq!(lines[0], ["PREFIX", "IN", "FORCE", "SINCE", "BY", "WHY"]);
    assert_eq!(lines[1][..2], ["198.18.0.0/15", "NO"]);
    assert_eq!(lines[1][lines[1].len() - 2..], ["test", "callers"]);

    let output = host.on_database(&["bypass", "remove", "2001:db8::1/128", "10.0.0.0/8", "--json"]);
    exits(&output, 0);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["applied"], false);
    assert_eq!(shown["removed"], serde_json::json!(["2001:db8::1/128"]));
    assert_eq!(shown["absent"], serde_json::json!(["10.0.0.0/8"]));
    let events = sqlite3(host.path("sip-filter.db"), "SELECT action, via, why FROM sip_filter_event ORDER BY id");
    assert_eq!(events, "bypass.add|database|test callers\nbypass.remove|database|");
}

#[test]
fn entry_that_cannot_be_used_is_shown_and_can_be_removed() {
    let host = Host::new();
    exits(&host.on_database(&["bypass", "list"]), 0);
    sqlite3(
        host.path("sip-filter.db"),
        "INSERT INTO sip_filter_bypass (prefix, why) VALUES ('198.18.1.7/15', x'1b5b324a')",
    );
    let output = host.on_database(&["bypass", "list"]);
    assert_eq!(words(&output)[1][..2], ["198.18.1.7/15", "UNUSABLE"]);
    assert!(!output.stdout.contains(&0x1b), "the escape sequence reaches the terminal");
    exits(&host.on_database(&["bypass", "remove", "198.18.1.7/15"]), 0);
    // Now that the table does not have it, it is a mistake, and the whole range is shown.
    let output = host.on_database(&["bypass", "remove", "198.18.1.7/15"]);
    exits(&output, 2);
    assert!(text(&output.stderr).contains("198.18.0.0/15 would be the whole range"), "{}", text(&output.stderr));
    assert_eq!(text(&host.on_database(&["bypass", "list"]).stdout).lines().next(), Some("no bypass prefixes"));
}

#[test]
fn removing_the_last_emergency_number_warns() {
    let host = Host::new();
    let output = host.on_database(&["emergency", "remove", "911", "999"]);
    exits(&output, 0);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let output = host.on_database(&["emergency", "remove", "112", "--json"]);
    exits(&output, 0);
    assert!(text(&output.stderr).contains("no emergency number is left"), "{}", text(&output.stderr));
    let output = host.on_database(&["emergency", "list", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&shown["users"], &shown["applied"]), (&serde_json::json!([]), &serde_json::json!(false)));
}

#[test]
fn scope_without_a_daemon_is_written_and_removing_its_last_entry_warns() {
    let host = Host::new();
    let shown = text(&host.on_database(&["scope", "list"]).stdout);
    assert_eq!(shown.lines().next(), Some("no entries, so the scope is all new calls"));
    let output = host.on_database(&["scope", "add", "--source", "198.18.0.0/15", "2001:DB8::1", "--why", "trunk A"]);
    exits(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("added        2001:db8::1/128\n") && shown.contains("NOT APPLIED"), "{shown}");
    assert!(shown.contains("2 scope sources"), "{shown}");
    let destinations = ["scope", "add", "--destination", "198.18.0.2", "--destination", "[2001:db8::2]:5060"];
    exits(&host.on_database(&destinations), 0);

    let lines = words(&host.on_database(&["scope", "list"]));
    assert_eq!(lines[0], ["CALLS", "IN", "FORCE", "SINCE", "BY", "WHY"]);
    assert_eq!(lines[1][..3], ["from", "198.18.0.0/15", "NO"]);
    assert_eq!(lines[3][..3], ["to", "198.18.0.2", "NO"]);
    let output = host.on_database(&["scope", "list", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["sources"][1]["prefix"], "2001:db8::1/128");
    assert_eq!(shown["destinations"][1]["address"], "[2001:db8::2]:5060");
    let history = text(&host.on_database(&["history"]).stdout);
    assert!(history.contains("from 198.18.0.0/15 2001:db8::1/128  ") && history.contains("trunk A"), "{history}");

    // An entry that cannot be used is an entry.
    sqlite3(host.path("sip-filter.db"), "UPDATE sip_filter_scope_source SET prefix = 'x' WHERE prefix LIKE '2001%'");
    for arguments in [
        &["scope", "remove", "--destination", "198.18.0.2", "[2001:db8::2]:5060"][..],
        &["scope", "remove", "--source", "198.18.0.0/15"],
    ] {
        let output = host.on_database(arguments);
        exits(&output, 0);
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    }
    let output = host.on_database(&["scope", "remove", "--source", "x"]);
    exits(&output, 0);
    assert!(text(&output.stderr).contains("no entry of the scope is left"), "{}", text(&output.stderr));
}

/// Starts a daemon that replies to one request with this result, and returns the request.
fn daemon(host: &Host, result: serde_json::Value) -> std::thread::JoinHandle<serde_json::Value> {
    let listener = std::os::unix::net::UnixListener::bind(host.path("control.sock")).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let request: serde_json::Value = serde_json::from_str(&line).unwrap();
        let reply = serde_json::json!({"jsonrpc": "2.0", "id": request.get("id"), "result": result});
        writeln!(&stream, "{reply}").unwrap();
        request
    })
}

#[test]
fn exemption_with_a_daemon_goes_through_the_daemon() {
    let host = Host::new();
    let refusal = serde_json::json!({"code": 503, "reason": "Maintenance", "retry_after": 30});
    let policy = serde_json::json!({"maintenance": false, "refusal": refusal, "emergency": []});
    let reply =
        serde_json::json!({"removed": ["911"], "absent": ["110"], "policy": policy, "since": null, "alarms": []});
    let daemon = daemon(&host, reply);
    let output = host.command(&["emergency", "remove", "911", "110", "--why", "test"]).output().unwrap();
    exits(&output, 0);
    assert_eq!(text(&output.stdout), "removed   911\nabsent    110 (was not there)\nin force  no emergency numbers\n");
    assert!(text(&output.stderr).contains("no emergency number is left"), "{}", text(&output.stderr));
    let request = daemon.join().unwrap();
    assert_eq!(request["method"], "emergency.remove");
    assert_eq!(request["params"], serde_json::json!({"users": ["911", "110"], "why": "test"}));
}

#[test]
fn scope_with_a_daemon_goes_through_the_daemon() {
    let host = Host::new();
    let refusal = serde_json::json!({"code": 503, "reason": "Maintenance", "retry_after": 30});
    let scope = serde_json::json!({"sources": ["198.18.0.0/15"], "destinations": ["198.18.0.2:5060"]});
    let policy = serde_json::json!({"maintenance": false, "refusal": refusal, "emergency": [], "scope": scope});
    let reply =
        serde_json::json!({"added": ["198.18.0.2:5060"], "present": [], "policy": policy, "since": null, "alarms": []});
    let daemon = daemon(&host, reply);
    let add = ["scope", "add", "--destination", "198.18.0.2:5060", "--why", "trunk A"];
    let output = host.command(&add).output().unwrap();
    exits(&output, 0);
    assert_eq!(text(&output.stdout), "added     198.18.0.2:5060\nin force  scope: 1 source, 1 destination\n");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let request = daemon.join().unwrap();
    assert_eq!(request["method"], "scope.add");
    assert_eq!(request["params"], serde_json::json!({"destinations": ["198.18.0.2:5060"], "why": "trunk A"}));
}

#[test]
fn json_is_the_reply_of_the_daemon_with_members_of_later_versions() {
    let host = Host::new();
    let reply = serde_json::json!({"verdicts": {"off": 1}, "responder": {}, "later": {"a": [1, null]}});
    let daemon = daemon(&host, reply.clone());
    let output = host.command(&["stats", "--json"]).output().unwrap();
    exits(&output, 0);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), reply);
    assert_eq!(daemon.join().unwrap()["method"], "stats");
}

#[test]
fn error_of_a_database_that_cannot_be_used_has_the_reason() {
    let host = Host::new();
    host.file("text.db", "this is a text of some length, and no database at all, as one can see");
    let output = host.command(&["on", "--database-url", &host.url("text.db")]).output().unwrap();
    exits(&output, 1);
    let error = text(&output.stderr);
    assert!(error.contains("text.db") && error.contains("not a database"), "{error}");
}

#[test]
fn migrate_reports_its_steps_and_repeats_none() {
    let host = Host::new();
    let url = host.url("sip-filter.db");
    let migrate = || host.command(&["migrate", "--json", "--database-url", &url]).output().unwrap();
    let steps = |output: Output| {
        exits(&output, 0);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["steps"].as_array().unwrap().len()
    };
    assert_eq!(steps(migrate()), 6);
    assert_eq!(steps(migrate()), 0);
}

/// The example shows the defaults: with each key uncommented, it has to be accepted.
#[test]
fn example_configuration_has_every_key_and_is_accepted() {
    let host = Host::new();
    let example = include_str!("../../packaging/config.toml");
    let keys = example.lines().filter(|line| line.starts_with('#') && line.contains(" = ")).count();
    assert_eq!(keys, 19, "every option is in it");
    let uncommented: Vec<&str> =
        example.lines().map(|line| if line.contains(" = ") { line.trim_start_matches('#') } else { line }).collect();
    for text in [example.to_owned(), uncommented.join("\n")] {
        let config = host.file("config.toml", &text);
        // Exit status 1 and not 2: the file was accepted, and no daemon listens on the socket.
        let output = host.command(&["status", "--config", config.to_str().unwrap()]).output().unwrap();
        exits(&output, 1);
    }
}
