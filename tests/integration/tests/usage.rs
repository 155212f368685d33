//! What the command line says to a person who got something wrong, and its exit status.

use std::fs;

use anyhow::Result;
use filter_lab::installation::{Answer, Installation};
use filter_lab::namespace::Namespace;
use filter_lab::wire::{self, PROXY_INTERFACE, WireOptions};
use rstest::rstest;

fn host() -> Result<Installation> {
    Installation::new(&Namespace::new()?, &Installation::binary_from_env()?)
}

/// The exit status, and that the error is one that helps: short, and with these words in it.
fn assert_refused(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, Some(code), "{answer:#?}");
    for word in words {
        assert!(answer.stderr.contains(word), "no {word:?} in {answer:#?}");
    }
    assert!(!answer.stderr.contains("panicked"), "{answer:#?}");
}

#[rstest]
#[case::no_command(&[], &["Usage"])]
#[case::no_interface(&["run"], &["--iface"])]
#[case::doctor_interface(&["doctor", "--iface", "a/b"], &["a/b", "ip link"])]
#[case::doctor_mode(&["doctor", "--iface", "lo", "--mode", "fast"], &["fast", "native", "generic"])]
#[case::unknown_command(&["onn"], &["onn", "on"])]
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
fn wrong_usage_ends_with_2(#[case] arguments: &[&str], #[case] words: &[&str]) -> Result<()> {
    assert_refused(&host()?.cli(arguments)?, 2, words);
    Ok(())
}

#[test]
fn an_unknown_interface_is_named() -> Result<()> {
    assert_refused(&host()?.cli(&["run", "--iface", "nope0"])?, 1, &["nope0"]);
    Ok(())
}

#[test]
fn one_unknown_interface_among_several_leaves_the_others_alone() -> Result<()> {
    let (outside, inside) = (Namespace::new()?, Namespace::new()?);
    wire::lay(&outside, &inside, WireOptions::default())?;
    let filter = Installation::new(&inside, &Installation::binary_from_env()?)?;
    let answer = filter.cli(&["run", "--iface", PROXY_INTERFACE, "--iface", "nope0"])?;
    assert_refused(&answer, 1, &["nope0"]);
    assert!(!inside.ip("-d link show")?.contains("prog/xdp"));
    Ok(())
}

#[rstest]
#[case::not_toml("ports = [", "config.toml")]
#[case::unknown_key("colour = \"red\"\n", "colour")]
fn a_wrong_configuration_is_wrong_usage(#[case] text: &str, #[case] word: &str) -> Result<()> {
    let host = host()?;
    fs::write(host.config(), text)?;
    assert_refused(&host.cli(&["run", "--iface", "lo"])?, 2, &[word, "config.toml"]);
    Ok(())
}

#[test]
fn a_configuration_file_that_is_asked_for_but_missing_is_named() -> Result<()> {
    let host = host()?;
    fs::remove_file(host.config())?;
    assert_refused(&host.cli(&["run", "--iface", "lo"])?, 2, &["config.toml"]);
    Ok(())
}

#[rstest]
#[case::unknown_database("oracle://db/sip", 2, "oracle")]
#[case::no_url("/var/lib/sip.db", 2, "sqlite:")]
// /dev/null is no directory, for root neither.
#[case::no_directory("sqlite:///dev/null/sip-filter.db", 1, "/dev/null")]
fn a_database_url_that_does_not_work_is_explained(
    #[case] url: &str,
    #[case] code: i32,
    #[case] word: &str,
) -> Result<()> {
    let host = host()?;
    let mut command = host.bare_command();
    command.args(["--database-url", url, "--socket"]).arg(host.socket());
    command.arg("--state-file").arg(host.state()).arg("--config").arg(host.config());
    assert_refused(&Answer::of(command.arg("on"))?, code, &[word]);
    Ok(())
}

#[test]
fn status_without_a_daemon_says_where_it_looked() -> Result<()> {
    let host = host()?;
    let socket = host.socket();
    assert_refused(&host.cli(&["status"])?, 1, &[&socket.display().to_string()]);
    Ok(())
}

#[test]
fn help_names_the_commands() -> Result<()> {
    let answer = Answer::of(host()?.bare_command().arg("--help"))?;
    assert_eq!(answer.code, Some(0));
    for command in ["run", "doctor", "on", "off", "status", "reload", "stats", "migrate"] {
        assert!(answer.stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {answer:#?}");
    }
    Ok(())
}
