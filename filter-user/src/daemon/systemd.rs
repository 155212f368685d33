//! Notifications to systemd: ready, stopping, and the status line of `systemctl status`.

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::raised;
use crate::domain::{Policy, Raised};
use crate::kamailio;
use crate::sync::Snapshot;

/// Sends notifications to systemd, if it started the daemon.
pub(super) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!("systemd cannot be notified: {error}");
    }
}

/// Keeps the status line up to date until `stop` is cancelled.
pub(super) async fn report_status(
    mut snapshot: watch::Receiver<Snapshot>,
    mut kamailio: Option<watch::Receiver<kamailio::Status>>,
    mut plane: watch::Receiver<Vec<Raised>>,
    stop: CancellationToken,
) {
    loop {
        let raised = raised(&snapshot.borrow_and_update(), kamailio.as_ref(), &plane.borrow_and_update());
        let status = status_line(&snapshot.borrow().policy, &raised);
        notify(&[NotifyState::Status(&status)]);
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed(&mut snapshot) => {}
            () = changed_if_any(kamailio.as_mut()) => {}
            () = changed(&mut plane) => {}
        }
    }
}

fn status_line(policy: &Policy, raised: &[Raised]) -> String {
    let alarms = match raised {
        [] => String::new(),
        [alarm] => format!("; alarm: {}", alarm.text),
        [alarm, others @ ..] => format!("; alarm: {} (and {} more)", alarm.text, others.len()),
    };
    format!("{policy}{alarms}").replace(char::is_control, " ")
}

/// Returns when the value has changed; never, once its sender is gone.
async fn changed<T>(value: &mut watch::Receiver<T>) {
    if value.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn changed_if_any<T>(value: Option<&mut watch::Receiver<T>>) {
    match value {
        Some(value) => changed(value).await,
        None => std::future::pending().await,
    }
}
