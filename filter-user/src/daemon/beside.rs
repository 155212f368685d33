//! The data plane and the Kamailio beside it: in which order the two learn of a switch.

use crate::dataplane::Error;
use crate::domain::Policy;
use crate::kamailio::Teller;
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tempfile::TempDir;
    use tokio::net::UnixDatagram;

    use super::{Beside, Enforcer, Error};
    use crate::domain::Policy;
    use crate::kamailio::{Follower, Target};

    /// What has learnt of a switch, in this order.
    type Record = Arc<Mutex<Vec<&'static str>>>;

    struct Kernel(Record);

    impl Enforcer for Kernel {
        async fn apply(&mut self, _: Policy) -> Result<(), Error> {
            self.0.lock().unwrap().push("kernel");
            Ok(())
        }
    }

    /// A Kamailio that has no flag and takes each, and does so slowly: who comes first is no accident.
    async fn kamailio(socket: UnixDatagram, record: Record) {
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let request: Value = serde_json::from_slice(&buffer[..length]).unwrap();
            let result = match request["method"].as_str().unwrap() {
                "htable.sets" => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    record.lock().unwrap().push("Kamailio");
                    json!("Ok. Key set to new value.")
                }
                "htable.listTables" => json!([{"name": "config", "dbtable": "", "dbmode": 0}]),
                _ => json!({"item": {"name": "maint", "value": "0"}}),
            };
            let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
            socket.send_to(answer.as_bytes(), from.as_pathname().unwrap()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn on_is_first_for_the_kernel_and_off_first_for_kamailio() {
        let directory = TempDir::new().unwrap();
        let (path, record) = (directory.path().join("rpc.sock"), Record::default());
        tokio::spawn(kamailio(UnixDatagram::bind(&path).unwrap(), record.clone()));
        let target =
            Target { socket: format!("unix:{}", path.display()).parse().unwrap(), htable: "config".parse().unwrap() };
        let (follower, teller) = Follower::new(target, directory.path().join("own"), false);
        tokio::spawn(follower.run());
        let mut beside = Beside::new(Kernel(record.clone()), Some(teller));
        for (maintenance, order) in [(true, ["kernel", "Kamailio"]), (false, ["Kamailio", "kernel"])] {
            // What the follower has said by itself at its start is not meant.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            record.lock().unwrap().clear();
            beside.apply(Policy { maintenance, ..Policy::default() }).await.unwrap();
            assert_eq!(*record.lock().unwrap(), order);
        }
    }
}
