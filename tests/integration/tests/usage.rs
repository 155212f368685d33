//! Wrong usage of the command line: the exit status, and an error message that helps.
#![cfg(test)]

use std::fs;

use filter_lab::installation::Installation;
use filter_lab::namespace::Namespace;
use filter_lab::process::{self, Output};
use filter_lab::wire::{self, PROXY_INTERFACE, WireOptions};
use rstest::rstest;

fn installation() -> Installation {
    Installation::new(&Namespace::new(), &Installation::binary_from_env())
}

/// Asserts the exit status, and that the error contains these words and is no panic.
#[track_caller]
fn assert_error(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, Some(code), "{output:#?}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?} in {output:#?}");
    }
    assert!(!output.stderr.contains("panicked"), "{output:#?}");
}

#[rstest]
#[case::no_command(&[], &["Usage"])]
#[case::no_interface(&["run"], &["--iface"])]
#[case::doctor_interface(&["doctor", "--iface", "a/b"], &["a/b", "ip link"])]
#[case::doctor_mode(&["doctor", "--iface", "lo", "--mode", "fast"], &["fast", "native", "generic"])]
#[case::unknown_command(&["onn"], &["onn", "'on'"])]
#[case::unknown_option(&["status", "--jsn"], &["--jsn", "--json"])]
#[case::mode(&["run", "--iface", "lo", "--mode", "fast"], &["fast", "native", "generic"])]
#[case::port(&["run", "--iface", "lo", "--port", "65536"], &["65536", "--port"])]
#[case::port_zero(&["run", "--iface", "lo", "--port", "0"], &["--port"])]
#[case::lease(&["run", "--iface", "lo", "--lease-ms", "soon"], &["soon", "--lease-ms"])]
#[case::cpus(&["run", "--iface", "lo", "--cpus", "0-"], &["0-", "--cpus", "2-5,8"])]
#[case::busy_poll(&["run", "--iface", "lo", "--busy-poll", "2000000"], &["2000000", "1000000"])]
#[case::code_that_accepts(&["on", "--code", "200"], &["200", "--code"])]
#[case::code_beyond_sip(&["on", "--code", "700"], &["700", "--code"])]
#[case::reason_with_line_end(&["on", "--reason", "a\r\nX: b"], &["--reason"])]
#[case::retry_after(&["on", "--retry-after", "-1"], &["-1"])]
fn wrong_usage_ends_with_exit_status_2(#[case] arguments: &[&str], #[case] words: &[&str]) {
    assert_error(&installation().output(arguments), 2, words);
}

#[test]
fn unknown_interface_is_named() {
    assert_error(&installation().output(&["run", "--iface", "nope0"]), 1, &["nope0"]);
}

#[test]
fn one_unknown_interface_keeps_the_daemon_from_attaching_to_the_others() {
    let (outside, inside) = (Namespace::new(), Namespace::new());
    wire::connect(&outside, &inside, WireOptions::default());
    let filter = Installation::new(&inside, &Installation::binary_from_env());
    let output = filter.output(&["run", "--iface", PROXY_INTERFACE, "--iface", "nope0"]);
    assert_error(&output, 1, &["nope0"]);
    assert_eq!(wire::attached_program(&inside, PROXY_INTERFACE), None);
}

#[rstest]
#[case::not_toml("ports = [", "config.toml")]
#[case::unknown_key("colour = \"red\"\n", "colour")]
fn wrong_configuration_is_wrong_usage(#[case] text: &str, #[case] word: &str) {
    let installation = installation();
    fs::write(installation.config(), text).unwrap();
    assert_error(&installation.output(&["run", "--iface", "lo"]), 2, &[word, "config.toml"]);
}

#[test]
fn missing_configuration_file_is_named() {
    let installation = installation();
    fs::remove_file(installation.config()).unwrap();
    assert_error(&installation.output(&["run", "--iface", "lo"]), 2, &["config.toml"]);
}

#[rstest]
#[case::unknown_database("oracle://db/sip", 2, "oracle")]
#[case::no_url("/var/lib/sip.db", 2, "sqlite:")]
// /dev/null is no directory, not even for root.
#[case::no_directory("sqlite:///dev/null/sip-filter.db", 1, "/dev/null")]
fn unusable_database_url_is_explained(#[case] url: &str, #[case] code: i32, #[case] word: &str) {
    let installation = installation();
    let mut command = installation.bare_command();
    command.args(["--database-url", url, "--socket"]).arg(installation.socket());
    command.arg("--state-file").arg(installation.state()).arg("--config").arg(installation.config());
    assert_error(&process::run(command.arg("on")), code, &[word]);
}

#[test]
fn status_without_a_daemon_names_the_socket() {
    let installation = installation();
    let socket = installation.socket();
    assert_error(&installation.output(&["status"]), 1, &[&socket.display().to_string()]);
}

#[test]
fn help_lists_the_commands() {
    let output = process::run(installation().bare_command().arg("--help"));
    assert_eq!(output.code, Some(0));
    for command in ["run", "doctor", "on", "off", "status", "reload", "stats", "migrate"] {
        assert!(output.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {output:#?}");
    }
}
