//! The order in which the data plane and the local Kamailio learn of a switch.

use std::sync::Arc;

use crate::dataplane::Error;
use crate::domain::Policy;
use crate::kamailio::KamailioHandle;
use crate::sync::Enforcer;

/// Puts a policy in force in the kernel and in Kamailio, in this order if maintenance is on, and in the reverse order
/// if it is off.
///
/// So a call that the kernel passes during a switch never reaches a Kamailio that refuses it.
pub(super) struct SwitchSequencer<E> {
    plane: E,
    kamailio: Option<KamailioHandle>,
}

impl<E> SwitchSequencer<E> {
    /// Creates a sequencer. Without `kamailio` it switches only the kernel.
    pub(super) fn new(plane: E, kamailio: Option<KamailioHandle>) -> Self {
        Self { plane, kamailio }
    }

    async fn set_kamailio(&mut self, on: bool) {
        if let Some(kamailio) = &mut self.kamailio {
            kamailio.set(on).await;
        }
    }
}

impl<E: Enforcer> Enforcer for SwitchSequencer<E> {
    async fn apply(&mut self, policy: Arc<Policy>) -> Result<(), Error> {
        let on = policy.maintenance;
        if !on {
            self.set_kamailio(false).await;
        }
        self.plane.apply(policy).await?;
        if on {
            self.set_kamailio(true).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::super::fake_kamailio::FakeKamailio;
    use super::{Enforcer, Error, SwitchSequencer};
    use crate::domain::Policy;
    use crate::kamailio::{KamailioSync, State, Target};

    /// Far longer than anything here takes.
    const TIMEOUT: Duration = Duration::from_secs(20);

    /// The parties that were switched, in this order.
    type Record = Arc<Mutex<Vec<&'static str>>>;

    struct Kernel(Record);

    impl Enforcer for Kernel {
        async fn apply(&mut self, _: Arc<Policy>) -> Result<(), Error> {
            self.0.lock().unwrap().push("kernel");
            Ok(())
        }
    }

    /// Runs a Kamailio that takes 50 ms to set the flag, so that the order in the record is not due to chance.
    async fn run_kamailio(mut kamailio: FakeKamailio, record: Record) {
        loop {
            let request = kamailio.receive().await;
            if request.sets_flag() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                record.lock().unwrap().push("Kamailio");
            }
            kamailio.reply(&request).await;
        }
    }

    #[tokio::test]
    async fn on_reaches_the_kernel_before_kamailio_and_off_reaches_kamailio_before_the_kernel() {
        let directory = TempDir::new().unwrap();
        let (path, record) = (directory.path().join("rpc.sock"), Record::default());
        tokio::spawn(run_kamailio(FakeKamailio::bind(&path), Arc::clone(&record)));
        let target =
            Target { socket: format!("unix:{}", path.display()).parse().unwrap(), htable: "config".parse().unwrap() };
        let (sync, handle) = KamailioSync::new(target, directory.path().join("own"), false);
        tokio::spawn(sync.run(CancellationToken::new()));
        // At its start the sync sets the flag by itself, which is not part of the order.
        let mut status = handle.status();
        timeout(TIMEOUT, status.wait_for(|status| status.state == State::InStep)).await.unwrap().unwrap();

        let mut sequencer = SwitchSequencer::new(Kernel(Arc::clone(&record)), Some(handle));
        for (maintenance, order) in [(true, ["kernel", "Kamailio"]), (false, ["Kamailio", "kernel"])] {
            record.lock().unwrap().clear();
            sequencer.apply(Arc::new(Policy { maintenance, ..Policy::default() })).await.unwrap();
            assert_eq!(*record.lock().unwrap(), order);
        }
    }
}
