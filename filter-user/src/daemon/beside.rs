//! The data plane and the Kamailio beside it: in which order the two learn of a switch.

use crate::dataplane::Error;
use crate::kamailio::Teller;
use crate::policy::Policy;
use crate::sync::Enforcer;

/// Puts a policy in force in the kernel, and has Kamailio told.
///
/// On: first the kernel, then Kamailio. Off: first Kamailio. So a call that the kernel lets through never finds a
/// Kamailio that refuses it because of the order.
pub(super) struct Beside<E> {
    plane: E,
    kamailio: Option<Teller>,
}

impl<E> Beside<E> {
    pub(super) fn new(plane: E, kamailio: Option<Teller>) -> Self {
        Self { plane, kamailio }
    }

    async fn tell(&mut self, on: bool) {
        if let Some(kamailio) = &mut self.kamailio {
            kamailio.tell(on).await;
        }
    }
}

impl<E: Enforcer> Enforcer for Beside<E> {
    async fn apply(&mut self, policy: Policy) -> Result<(), Error> {
        let on = policy.maintenance;
        if !on {
            self.tell(false).await;
        }
        self.plane.apply(policy).await?;
        if on {
            self.tell(true).await;
        }
        Ok(())
    }
}
