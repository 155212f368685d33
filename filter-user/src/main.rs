//! `sip-filter`: the daemon, and the commands that use its control socket or its database.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
