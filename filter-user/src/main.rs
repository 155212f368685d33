//! `sip-filter`: the daemon, and the commands that use its control socket or its database.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
