//! The daemon and Kamailio on the inner host of a stage. Both inherit the CPU and the priority of the calling thread.

use std::net::SocketAddr;

use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::{End, Family};
use serde_json::json;

use crate::layout::PORT;
use crate::stage::Stage;

/// Returns the address of the proxy.
pub(crate) fn proxy() -> SocketAddr {
    SocketAddr::new(End::Proxy.address(Family::V4), PORT)
}

/// Starts the daemon on `interfaces`, separated by commas, with further `arguments`, and switches maintenance on.
///
/// The caller has to keep the [`Installation`], which has the daemon's files.
pub(crate) fn sip_filter(stage: &Stage, interfaces: &str, arguments: &[&str]) -> (Daemon, Installation) {
    let installation = Installation::new(&stage.inside, &Installation::binary_from_env());
    let daemon = installation.start(&[&["--iface", interfaces, "--mode", "native"], arguments].concat());
    installation.run(&["on"]);
    (daemon, installation)
}

/// Starts Kamailio as the proxy, and switches its maintenance on.
pub(crate) fn kamailio(stage: &Stage, options: &Options) -> Kamailio {
    let options = Options { shows_log: false, ..options.clone() };
    let mut kamailio = Kamailio::new(&stage.inside, proxy(), &options);
    kamailio.start();
    kamailio.rpc("htable.sets", &json!(["config", "maint", "1"]));
    kamailio
}
