//! `cargo xtask setup`: finds or installs everything that the build, the demo and the tests need.

mod bpf_linker;
mod bpf_rust;
mod debian;
mod kamailio;
mod postgresql;
mod requirement;
mod rustup;

use std::fmt;

use anyhow::{Result, bail};

use debian::Apt;
use requirement::{Outcome, Requirement};

/// Returns all requirements, in an order in which each depends on earlier ones only.
fn requirements() -> Vec<Requirement> {
    vec![
        Requirement::program("cc", &["gcc", "libc6-dev"], "link Rust programs and compile SQLite"),
        Requirement::program("c++", &["g++"], "compile libFuzzer"),
        Requirement::program("ip", &["iproute2"], "create the tests' network namespaces and veth pairs"),
        Requirement::program("ethtool", &["ethtool"], "switch off offloads of the tests' veth pairs"),
        Requirement::program("teamnl", &["libteam-utils"], "configure a team device in the emulated machines"),
        Requirement::program("sqlite3", &["sqlite3"], "change SQLite rows from outside the daemon in the tests"),
        Requirement::program("sipp", &["sip-tester"], "send many calls at a time in the tests"),
        Requirement::program("baresip", &["baresip-core"], "call with a real SIP phone in the tests"),
        Requirement::program("setpriv", &["util-linux"], "run database servers, which reject root, in the tests"),
        // The -core packages contain the programs without a service.
        Requirement::program("mariadbd", &["mariadb-server-core"], "run the tests on MariaDB"),
        Requirement::program(
            "mariadb",
            &["mariadb-client-core"],
            "change MariaDB rows from outside the daemon in the tests",
        ),
        postgresql::server(),
        Requirement::program(
            "psql",
            &["postgresql-client"],
            "change PostgreSQL rows from outside the daemon in the tests",
        ),
        kamailio::requirement(),
        rustup::host_component("rustfmt", "fmt"),
        rustup::host_component("clippy", "clippy"),
        bpf_rust::compiler(),
        bpf_rust::clippy(),
        bpf_linker::requirement(),
    ]
}

/// Meets all requirements in turn. Fails at the end if one of them could not be met.
pub(crate) fn run() -> Result<()> {
    let mut apt = Apt::new();
    let mut missing = 0;
    let requirements = requirements();
    for requirement in &requirements {
        let outcome = requirement.meet(&mut apt);
        print(requirement.name(), &outcome);
        missing += usize::from(matches!(outcome, Outcome::Missing(_)));
    }
    if missing > 0 {
        bail!("{missing} of {} requirements are not met; the lines marked MISSING say what to do", requirements.len());
    }
    Ok(())
}

/// Prints a line about the requirement `name`.
fn print(name: &str, message: impl fmt::Display) {
    println!("setup: {name:<16} {message}");
}
