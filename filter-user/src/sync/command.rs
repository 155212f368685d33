//! What the keeper does when it is asked to.

use tokio::sync::watch;

use super::keeper::Keeper;
use super::{Command, Enforcer, Error, Reply, Snapshot, report};
use crate::dataplane;
use crate::store::{self, Change, Changed, Entry, Exemption, Store, Switch};

/// What is written on request.
enum Write {
    Switch(Switch),
    Change(Change),
}

impl Write {
    /// Writes it. What it has changed, if it is a change of exemptions.
    async fn to(&self, store: &mut Store) -> Result<Option<Changed>, store::Error> {
        match self {
            Self::Switch(switch) => store.switch(switch).await.map(|()| None),
            Self::Change(change) => store.change(change).await.map(Some),
        }
    }
}

impl Keeper {
    /// Obeys a command and answers it. Only a data plane that fails is an error.
    pub(super) async fn obey(
        &mut self,
        command: Command,
        enforcer: &mut impl Enforcer,
        publish: &watch::Sender<Snapshot>,
    ) -> Result<(), dataplane::Error> {
        match command {
            Command::Switch(switch, reply) => {
                let done = self.write(&Write::Switch(switch), enforcer).await;
                self.answer(reply, done.map(|done| done.map(|_| self.snapshot())), publish)
            }
            Command::Change(change, reply) => {
                let write = Write::Change(change);
                let done = self.write(&write, enforcer).await;
                let answer = done.map(|done| done.map(|changed| (changed.unwrap_or_default(), self.snapshot())));
                self.answer(reply, answer, publish)
            }
            Command::Reload(reply) => {
                let read = self.refresh(enforcer, true).await;
                let answer = read.map(|read| read.map(|()| self.snapshot()).map_err(Error::NotRead));
                self.answer(reply, answer, publish)
            }
            Command::List(exemption, reply) => {
                let listed = self.list(exemption, enforcer).await;
                self.answer(reply, listed, publish)
            }
        }
    }

    /// Answers, and publishes the state before: who asks for the status next has to see it. The one who asked for it may
    /// have gone.
    fn answer<T>(
        &self,
        reply: Reply<T>,
        outcome: Result<Result<T, Error>, dataplane::Error>,
        publish: &watch::Sender<Snapshot>,
    ) -> Result<(), dataplane::Error> {
        publish.send_replace(self.snapshot());
        match outcome {
            Ok(answer) => {
                let _ = reply.send(answer);
                Ok(())
            }
            Err(error) => {
                let _ = reply.send(Err(Error::NotInForce(error.to_string())));
                Err(error)
            }
        }
    }

    /// Writes, reads, and puts in force what has been read.
    async fn write(
        &mut self,
        write: &Write,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<Option<Changed>, Error>, dataplane::Error> {
        match self.write_only(write).await {
            Ok(changed) => {
                if let (Write::Change(change), Some(done)) = (write, &changed) {
                    report::changed(change, done);
                }
                Ok(self.refresh(enforcer, true).await?.map(|()| changed).map_err(Error::NotReadBack))
            }
            Err(error) => {
                // To be up again, or to know why not, before the next command.
                let _ = self.refresh(enforcer, false).await?;
                Ok(Err(if error.is_refusal() { Error::Refused(error) } else { Error::NotWritten(error) }))
            }
        }
    }

    async fn write_only(&mut self, write: &Write) -> Result<Option<Changed>, store::Error> {
        if let Some(store) = &mut self.store {
            match write.to(store).await {
                // Another file has taken its place; it belongs into that one.
                Err(store::Error::Replaced { .. } | store::Error::NoFile { .. }) => {}
                Err(error) => {
                    // Where the database rolls back by itself (a full disk), sqlx takes the transaction for open still,
                    // and would not begin another one on this connection.
                    self.close().await;
                    return Err(error);
                }
                Ok(changed) => return Ok(changed),
            }
        }
        let done = write.to(self.open().await?).await;
        if done.is_err() {
            self.close().await;
        }
        done
    }

    async fn list(
        &mut self,
        exemption: Exemption,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<Vec<Entry>, Error>, dataplane::Error> {
        let listed = match &mut self.store {
            Some(store) => store.list(exemption).await,
            None => match self.open().await {
                Ok(store) => store.list(exemption).await,
                Err(error) => Err(error),
            },
        };
        if listed.is_err() {
            // To be up again, or to know why not.
            let _ = self.refresh(enforcer, false).await?;
        }
        Ok(listed.map_err(Error::NotRead))
    }
}
