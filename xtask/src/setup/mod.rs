//! `cargo xtask setup`: finds or installs what build, demo and tests need.

mod bpf_linker;
mod bpf_rust;
mod debian;
mod kamailio;
mod postgresql;
mod requirement;
mod rustup;

use anyhow::{Result, bail};

use debian::Apt;
use requirement::{Outcome, Requirement};

/// Everything that is needed, in an order in which each thing only needs what stands before it.
fn requirements() -> Vec<Requirement> {
    vec![
        Requirement::program("cc", &["gcc", "libc6-dev"], "links Rust programs and compiles SQLite"),
        Requirement::program("c++", &["g++"], "compiles the fuzzer's engine, libFuzzer"),
        Requirement::program("ip", &["iproute2"], "makes the tests' network namespaces and veth pairs"),
        Requirement::program("ethtool", &["ethtool"], "turns off offloads that veth pairs answer for"),
        Requirement::program("sqlite3", &["sqlite3"], "changes a row from outside in the tests"),
        Requirement::program("sipp", &["sip-tester"], "calls through the filter in the tests, many calls at a time"),
        Requirement::program(
            "baresip",
            &["baresip-core"],
            "calls through the filter in the tests, as a real telephone",
        ),
        Requirement::program("setpriv", &["util-linux"], "runs the tests' database servers as users that they accept"),
        // The -core packages: programs alone, without a service of the host's.
        Requirement::program("mariadbd", &["mariadb-server-core"], "the database of many a Kamailio, in the tests"),
        Requirement::program("mariadb", &["mariadb-client-core"], "changes a row from outside in the tests"),
        postgresql::server(),
        Requirement::program("psql", &["postgresql-client"], "changes a row from outside in the tests"),
        kamailio::requirement(),
        rustup::host_component("rustfmt", "cargo-fmt"),
        rustup::host_component("clippy", "cargo-clippy"),
        bpf_rust::compiler(),
        bpf_rust::clippy(),
        bpf_linker::requirement(),
    ]
}

/// Goes through all requirements, and fails at the end if one could not be met.
pub(crate) fn run() -> Result<()> {
    let mut apt = Apt::new();
    let mut missing = 0;
    let requirements = requirements();
    for requirement in &requirements {
        let outcome = requirement.meet(&mut apt);
        println!("setup: {:<16} {outcome}", requirement.what);
        missing += usize::from(matches!(outcome, Outcome::Missing(_)));
    }
    if missing > 0 {
        bail!("{missing} of {} things are missing; the lines marked MISSING say what to do", requirements.len());
    }
    Ok(())
}
