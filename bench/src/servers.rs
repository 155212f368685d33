//! The daemon and Kamailio, each started at the far end of a stage's wire, where the calling thread runs and with its priority.

use std::net::SocketAddr;

use anyhow::Result;
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::{End, Family};
use serde_json::json;

use crate::layout::PORT;
use crate::stage::Stage;

/// Where the proxy listens.
pub(crate) fn proxy() -> SocketAddr {
    SocketAddr::new(End::Proxy.address(Family::V4), PORT)
}

/// The daemon on these interfaces (a list with commas), with these arguments besides; maintenance is on. It lives no longer than its files.
pub(crate) fn sip_filter(stage: &Stage, interfaces: &str, arguments: &[&str]) -> Result<(Daemon, Installation)> {
    let installation = Installation::new(&stage.inside, &Installation::binary_from_env());
    let daemon = installation.start(&[&["--iface", interfaces, "--mode", "native"], arguments].concat());
    installation.run(&["on"]);
    Ok((daemon, installation))
}

/// Kamailio as the proxy, which refuses new calls.
pub(crate) fn kamailio(stage: &Stage, options: &Options) -> Result<Kamailio> {
    let options = Options { shows_log: false, ..options.clone() };
    let mut kamailio = Kamailio::new(&stage.inside, proxy(), &options);
    kamailio.start();
    kamailio.rpc("htable.sets", &json!(["config", "maint", "1"]));
    Ok(kamailio)
}
