//! The daemon: `sip-filter run`, from its start to a clean end.
#![forbid(unsafe_code)]

mod error;
#[cfg(test)]
mod fake_kamailio;
#[cfg(test)]
mod fake_plane;
mod metrics;
mod parts;
mod plane;
mod service;
mod signals;
mod supervisor;
mod switch_sequencer;
mod systemd;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

pub use self::error::Error;
use self::parts::Components;
use self::plane::Plane;
use self::signals::{Request, Signals};
use self::supervisor::Supervisor;
pub use self::supervisor::UnexpectedEnd;
use crate::config::{RunSettings, Settings};
use crate::control::ControlSocket;
use crate::dataplane::AttachMode;
use crate::domain::Raised;
use crate::kamailio::Status;
use crate::metrics::bind;
use crate::sync::{Command, Keeper, Snapshot};

/// Time limit for the parts to end, of which the keeper waits for the database. The program is already detached.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the daemon until SIGTERM or SIGINT, or until an essential part fails.
///
/// The XDP program is attached once, at the start, with the policy in force: some drivers reset their channels when a
/// program is attached or detached, so this does not happen at a switch. At the end, whatever the reason, the program
/// is detached before anything else stops.
pub async fn run(settings: Settings, options: RunSettings) -> Result<(), Error> {
    let mut signals = Signals::install()?;
    let socket = ControlSocket::claim(&settings.socket)?;
    // Bound before the program is attached: a port that is in use must not cost the interface its link.
    let metrics = match options.metrics {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let keeper = Keeper::prepare(&settings, &options.interfaces()).await?;
    let plane_options = options.data_plane(*keeper.tag(), tracing::enabled!(tracing::Level::DEBUG));
    let plane = Plane::start(plane_options, Arc::clone(keeper.policy())).await?;
    let kamailio_replies = socket.beside(".kamailio");
    let components = Components { settings, options, keeper, plane: plane.clone(), metrics, kamailio_replies };

    let mut supervisor = Supervisor::default();
    let outcome = serve(components, &socket, &mut signals, &mut supervisor).await;
    if let Ok(signal) = &outcome {
        info!("{signal}: stopping");
    }
    let stopped = plane.stop().await;
    systemd::notify(&[NotifyState::Stopping]);
    if stopped.is_ok() {
        info!("detached");
    }
    supervisor.shut_down(SHUTDOWN_TIMEOUT).await;
    // The first error is the reason. Without one, the daemon still fails if the data plane did not stop.
    outcome?;
    Ok(stopped?)
}

/// Serves until a signal stops the daemon, or until an essential part ends. Returns the name of the signal.
async fn serve(
    components: Components,
    socket: &ControlSocket,
    signals: &mut Signals,
    supervisor: &mut Supervisor,
) -> Result<&'static str, Error> {
    let listener = UnixListener::from_std(socket.listen()?).map_err(Error::Serve)?;
    let ready = ready_line(&components).await?;
    let commands = components.start(listener, supervisor);
    // Whoever started the daemon may have closed stdout, which is no reason to end.
    let _ = writeln!(io::stdout(), "{ready}");
    systemd::notify(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop(signal) => return Ok(signal),
                Request::Reload => reload(&commands),
            },
            error = supervisor.failure() => return Err(error),
        }
    }
}

/// Makes the keeper read the database. Nothing waits for the reply, because the keeper logs the outcome.
fn reload(commands: &mpsc::Sender<Command>) {
    info!("SIGHUP: reading the database");
    let (reply, _) = oneshot::channel();
    if commands.try_send(Command::Reload(reply)).is_err() {
        warn!("SIGHUP: the daemon is busy, not reloaded");
    }
}

/// Returns the line on stdout that reports that the daemon is ready.
async fn ready_line(components: &Components) -> Result<String, Error> {
    let Components { settings, options, keeper, plane, .. } = components;
    let status = plane.status().await?;
    let interfaces = status.interfaces.iter().map(|interface| {
        let mode = interface.mode.map_or("not attached", AttachMode::name);
        format!("{} ({mode}, {} queues)", interface.display_name(), interface.queues.len())
    });
    let interfaces = interfaces.collect::<Vec<_>>().join(", ");
    let interfaces = if interfaces.is_empty() { "no interface yet".to_owned() } else { interfaces };
    let ports = options.ports().iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let (policy, database) = (keeper.policy(), settings.database.display());
    Ok(format!("sip-filter ready: {interfaces}; UDP port {ports}; {policy}; database {database}"))
}

/// Returns the alarms of the keeper, of Kamailio, and of the data plane.
fn raised(snapshot: &Snapshot, kamailio: Option<&watch::Receiver<Status>>, plane: &[Raised]) -> Vec<Raised> {
    let mut raised = snapshot.alarms.raised().to_vec();
    if let Some(kamailio) = kamailio {
        raised.extend_from_slice(kamailio.borrow().alarms.raised());
    }
    raised.extend_from_slice(plane);
    raised
}
