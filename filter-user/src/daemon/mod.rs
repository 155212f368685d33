//! The daemon: from its start, over all that can happen to it, to its end in good order.

mod beside;
mod metrics;
mod plane;
mod service;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tracing::{info, warn};

use self::beside::Beside;
use self::metrics::Metrics;
use self::plane::Plane;
use self::service::Control;
use crate::config::{RunSettings, Settings};
use crate::control::{ControlSocket, SocketError, serve};
use crate::dataplane::{self, AttachMode};
use crate::domain::Raised;
use crate::kamailio::{Follower, Status, Teller};
use crate::metrics::{BindError, bind, serve as serve_metrics};
use crate::sync::{Command, Keeper, Snapshot, StartError};

/// Commands that wait for the keeper; more clients than that wait for their turn.
const QUEUE: usize = 16;

/// How long the end may wait for the database: the program is off the interfaces by then.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a daemon ends, or does not begin.
#[derive(Debug, Error)]
pub enum Error {
    /// Signal handlers.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The control socket, once it is open.
    #[error("cannot serve the control socket: {0}")]
    Serve(#[source] io::Error),
    /// The address for the metrics.
    #[error(transparent)]
    Metrics(#[from] BindError),
    /// The database or the state.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The data plane.
    #[error(transparent)]
    DataPlane(#[from] dataplane::Error),
    /// A fault of ours.
    #[error("a part of the daemon ended unexpectedly: {0}")]
    Task(#[from] JoinError),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn install() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }
}

/// Runs the daemon until SIGTERM or SIGINT, or until something fails that it cannot do without.
///
/// Attached once and for all at the start, with the policy in force (some drivers reset their channels when an XDP
/// program comes or goes, so never per switch). At the end, whatever the reason, detached first.
pub async fn run(settings: Settings, options: RunSettings) -> Result<(), Error> {
    // Before anything is made or looked up: on a kernel that is too old no other error is worth mending first.
    dataplane::check_kernel()?;
    let mut signals = Signals::install()?;
    let socket = ControlSocket::claim(&settings.socket)?;
    // Before anything is attached: a port that is taken must not cost the interface its link.
    let listener = match options.metrics {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let keeper = Keeper::prepare(&settings, &options.interfaces()).await?;
    let plane_options = options.data_plane(*keeper.tag(), tracing::enabled!(tracing::Level::DEBUG));
    let plane = Plane::start(plane_options, keeper.policy().clone()).await?;
    let (commands, receiver) = mpsc::channel(QUEUE);
    let (publish, snapshot) = watch::channel(keeper.snapshot());
    let (own, on) = (socket.beside(".kamailio"), keeper.policy().maintenance);
    let (follower, teller) = options.kamailio_target().map(|target| Follower::new(target, own, on)).unzip();
    let kamailio = teller.as_ref().map(Teller::status);
    let mut keeping = tokio::spawn(keeper.run(Beside::new(plane.clone(), teller), receiver, publish));
    let following = follower.map(|follower| tokio::spawn(follower.run()));
    let scrapes = listener.map(|listener| {
        let metrics = Metrics::new(snapshot.clone(), kamailio.clone(), plane.clone());
        tokio::spawn(serve_metrics(listener, Arc::new(metrics)))
    });
    let work = work(&mut signals, &socket, &plane, &commands, snapshot, kamailio, &mut keeping, settings, options);
    let outcome = work.await;

    notify(&[NotifyState::Stopping]);
    if let Some(scrapes) = scrapes {
        scrapes.abort();
    }
    let stopped = plane.stop().await;
    end(&commands, keeping).await;
    if let Some(following) = following {
        following.abort();
        // When it has ended, its socket's file is gone.
        let _ = following.await;
    }
    // The first error is the reason; if there was none, one of stopping is worth an exit status too.
    outcome.and(stopped.map_err(Error::from))
}

/// What the keeper's task ends with.
type Keeping = JoinHandle<Result<(), dataplane::Error>>;

#[expect(clippy::too_many_arguments, reason = "all parts of the daemon meet here, and only here")]
async fn work(
    signals: &mut Signals,
    socket: &ControlSocket,
    plane: &Plane,
    commands: &mpsc::Sender<Command>,
    mut snapshot: watch::Receiver<Snapshot>,
    mut kamailio: Option<watch::Receiver<Status>>,
    keeping: &mut Keeping,
    settings: Settings,
    options: RunSettings,
) -> Result<(), Error> {
    let listener = UnixListener::from_std(socket.listen()?).map_err(Error::Serve)?;
    let ready = ready_line(plane, &settings, &options, &snapshot.borrow().clone()).await?;
    let control = Control::new(settings, options, commands.clone(), snapshot.clone(), plane.clone(), kamailio.clone());
    let serving = tokio::spawn(serve(listener, Arc::new(control)));

    announce(&ready, &snapshot.borrow(), kamailio.as_ref());
    let outcome = loop {
        tokio::select! {
            _ = signals.terminate.recv() => break ended_by("SIGTERM"),
            _ = signals.interrupt.recv() => break ended_by("SIGINT"),
            _ = signals.hang_up.recv() => reload(commands),
            error = plane.failure() => break Err(error.into()),
            ended = &mut *keeping => break ended.map_err(Error::from).and_then(|result| result.map_err(Error::from)),
            Ok(()) = snapshot.changed() => notify_status(&snapshot.borrow_and_update(), kamailio.as_ref()),
            () = changed(&mut kamailio) => notify_status(&snapshot.borrow(), kamailio.as_ref()),
        }
    };
    serving.abort();
    outcome
}

/// Has the keeper tell the other hosts that this one stops, if it can do so soon.
async fn end(commands: &mpsc::Sender<Command>, keeping: Keeping) {
    let (done, told) = oneshot::channel();
    if commands.try_send(Command::End(done)).is_ok() {
        let _ = timeout(FAREWELL, told).await;
    }
    keeping.abort();
}

fn ended_by(signal: &str) -> Result<(), Error> {
    info!("{signal}: stopping");
    Ok(())
}

/// Nobody waits for the answer: it goes into the log.
fn reload(commands: &mpsc::Sender<Command>) {
    info!("SIGHUP: reading the database");
    let (reply, _) = oneshot::channel();
    if commands.try_send(Command::Reload(reply)).is_err() {
        warn!("SIGHUP: the daemon is busy, not reloaded");
    }
}

async fn ready_line(
    plane: &Plane,
    settings: &Settings,
    options: &RunSettings,
    snapshot: &Snapshot,
) -> Result<String, Error> {
    let interfaces: Vec<String> = plane
        .status()
        .await?
        .interfaces
        .iter()
        .map(|interface| {
            format!(
                "{} ({}, {} queues)",
                interface.name,
                interface.mode.map_or("not attached", AttachMode::name),
                interface.queues.len()
            )
        })
        .collect();
    let ports: Vec<String> = options.ports().iter().map(u16::to_string).collect();
    Ok(format!(
        "sip-filter ready: {}; UDP port {}; {}; database {}",
        interfaces.join(", "),
        ports.join(", "),
        snapshot.policy,
        settings.database.display(),
    ))
}

/// Tells whoever waits for it that all is in place: a line on stdout, and systemd.
fn announce(ready: &str, snapshot: &Snapshot, kamailio: Option<&watch::Receiver<Status>>) {
    // Whoever started us may have closed stdout; that is no reason to end.
    let _ = writeln!(io::stdout(), "{ready}");
    notify(&[NotifyState::Ready]);
    notify_status(snapshot, kamailio);
}

/// Returns when something else is known of Kamailio.
async fn changed(kamailio: &mut Option<watch::Receiver<Status>>) {
    if let Some(status) = kamailio
        && status.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// All that is wrong.
fn raised(snapshot: &Snapshot, kamailio: Option<&watch::Receiver<Status>>) -> Vec<Raised> {
    let mut raised = snapshot.alarms.raised().to_vec();
    if let Some(kamailio) = kamailio {
        raised.extend_from_slice(kamailio.borrow().alarms.raised());
    }
    raised
}

fn notify_status(snapshot: &Snapshot, kamailio: Option<&watch::Receiver<Status>>) {
    let alarms = match raised(snapshot, kamailio).as_slice() {
        [] => String::new(),
        [alarm] => format!("; alarm: {}", alarm.text),
        [alarm, others @ ..] => format!("; alarm: {} (and {} more)", alarm.text, others.len()),
    };
    let status = format!("{}{alarms}", snapshot.policy).replace(char::is_control, " ");
    notify(&[NotifyState::Status(&status)]);
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("systemd cannot be notified: {error}");
    }
}
