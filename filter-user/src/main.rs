//! `sip-filter`: the daemon, and the commands that talk to it or to its database.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
