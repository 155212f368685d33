//! Tests of the daemon without a kernel: real keeper, SQLite file and control socket.

mod manual;
mod parts;
mod replies;

use crate::config::{Common, Config, RunOptions, RunSettings};

/// Returns the values of `options`, with the interface eth0 and without a configuration file.
#[track_caller]
fn run_settings(options: RunOptions) -> RunSettings {
    let flags = Common { config: Some("/dev/null".into()), ..Common::default() };
    let options = RunOptions { iface: Some(vec!["eth0".parse().unwrap()]), ..options };
    let (_, settings) = Config::load(flags).unwrap().run_settings(&options).unwrap();
    settings
}
