//! The parts of the daemon, and the consequence if one ends.
//!
//! These are all tasks and threads of the daemon, except those that tokio and the database drivers keep for their own
//! work.
//!
//! | task or thread | reason to end by itself | consequence |
//! |---|---|---|
//! | keeper | a policy cannot be put in force, or a panic | essential: the daemon ends |
//! | data plane watch | the last interface is lost, a map cannot be written, or a panic | essential |
//! | control server | a panic | essential: nobody could switch maintenance on this host |
//! | client of the control server | a panic | logged; that client loses its connection |
//! | metrics server | a panic | restarted, on the same listening socket |
//! | client of the metrics server | a panic | logged; that client loses its connection |
//! | Kamailio sync | a panic | restarted; it sets Kamailio's flag again |
//! | systemd status | a panic | restarted |
//! | responder threads | an error of the socket, or a panic | started again by the next tick of the data plane |
//! | thread of the refusal log | a panic | logged; started again by the next tick of the data plane |
//! | thread of the kernel log (debug level) | a panic | logged; the XDP program is not logged any more |
//! | watch of a database server | a lost connection, or a panic | the keeper opens the database again |
//!
//! The tasks belong to the [`Supervisor`] or to a task that it owns; the threads belong to the data plane, which joins
//! them when it stops; the watch belongs to the open database, which the keeper closes.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};

use super::metrics::Metrics;
use super::plane::Plane;
use super::service::Control;
use super::supervisor::Supervisor;
use super::switch_sequencer::SwitchSequencer;
use super::{Error, systemd};
use crate::config::{RunSettings, Settings};
use crate::kamailio::{KamailioHandle, KamailioSync};
use crate::sync::{Command, Keeper};
use crate::{control, metrics};

/// Maximum number of commands that wait for the keeper. Further clients wait before they send theirs.
const COMMAND_QUEUE: usize = 16;

/// Components from which the parts are built.
pub(super) struct Components {
    pub(super) settings: Settings,
    pub(super) options: RunSettings,
    pub(super) keeper: Keeper,
    pub(super) plane: Plane,
    /// Listening socket for the metrics, if they are served.
    pub(super) metrics: Option<TcpListener>,
    /// Path of the socket to which Kamailio replies.
    pub(super) kamailio_replies: PathBuf,
}

impl Components {
    /// Starts all parts, and returns a channel for commands to the keeper. The control socket listens at `control`.
    pub(super) fn start(self, control: UnixListener, supervisor: &mut Supervisor) -> mpsc::Sender<Command> {
        let Self { settings, options, keeper, plane, metrics, kamailio_replies } = self;
        let token = supervisor.token();
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (publish, snapshot) = watch::channel(keeper.snapshot());
        let on = keeper.policy().maintenance;
        let kamailio = options.kamailio_target().map(|target| KamailioSync::new(target, kamailio_replies, on));
        let (sync, handle) = kamailio.unzip();
        let kamailio = handle.as_ref().map(KamailioHandle::status);

        let (publish_alarms, plane_alarms) = watch::channel(Vec::new());
        let watching = plane.clone().watch(publish_alarms, token.clone());
        supervisor.start_essential("data plane watch", async { Ok(watching.await?) });
        let enforcer = SwitchSequencer::new(plane.clone(), handle);
        let keeping = keeper.run(enforcer, receiver, publish, token.clone());
        supervisor.start_essential("keeper", async { Ok(keeping.await?) });
        if let Some(sync) = sync {
            let token = token.clone();
            supervisor.start_restartable("Kamailio sync", move || returns(sync.clone().run(token.clone())));
        }
        if let Some(listener) = metrics {
            let source = Arc::new(Metrics::new(snapshot.clone(), kamailio.clone(), plane.clone()));
            let (listener, token) = (Arc::new(listener), token.clone());
            supervisor.start_restartable("metrics server", move || {
                let (listener, source, token) = (Arc::clone(&listener), Arc::clone(&source), token.clone());
                returns(async move {
                    token.run_until_cancelled(metrics::serve(&listener, source)).await;
                })
            });
        }
        supervisor.start_restartable("systemd status", {
            let (snapshot, kamailio, token) = (snapshot.clone(), kamailio.clone(), token.clone());
            move || {
                let (snapshot, kamailio) = (snapshot.clone(), kamailio.clone());
                returns(systemd::report_status(snapshot, kamailio, plane_alarms.clone(), token.clone()))
            }
        });
        let service = Control::new(settings, options, commands.clone(), snapshot, plane, kamailio);
        let serving = control::serve(control, Arc::new(service), token);
        supervisor.start_essential("control server", returns(serving));
        commands
    }
}

/// Adapts a part that has no error of its own.
async fn returns(part: impl Future<Output = ()>) -> Result<(), Error> {
    part.await;
    Ok(())
}
