//! What the keeper does when it is asked to.

use tokio::sync::watch;

use super::keeper::Keeper;
use super::{Command, Enforcer, Error, Reply, Snapshot, report};
use crate::dataplane;
use crate::domain::{Change, Changed, Entry, Event, Exemption, Node, Switch};
use crate::store::{self, Recovery, Store};

/// Something that is done with the open database on request.
trait Work: Sync {
    /// What comes of it.
    type Done: Send;

    fn on(&self, store: &mut Store) -> impl Future<Output = Result<Self::Done, store::Error>> + Send;

    /// Tells that it is done, before it is in force.
    fn tell(&self, _done: &Self::Done) {}
}

impl Work for Switch {
    type Done = i64;

    async fn on(&self, store: &mut Store) -> Result<i64, store::Error> {
        store.switch(self).await
    }
}

impl Work for Change {
    type Done = Changed;

    async fn on(&self, store: &mut Store) -> Result<Changed, store::Error> {
        store.change(self).await
    }

    fn tell(&self, done: &Changed) {
        report::changed(self, done);
    }
}

impl Work for Exemption {
    type Done = Vec<Entry>;

    async fn on(&self, store: &mut Store) -> Result<Vec<Entry>, store::Error> {
        store.list(*self).await
    }
}

/// The last events, so many at most.
struct History(u32);

impl Work for History {
    type Done = Vec<Event>;

    async fn on(&self, store: &mut Store) -> Result<Vec<Event>, store::Error> {
        store.history(self.0).await
    }
}

/// The hosts that share the database.
struct Nodes;

impl Work for Nodes {
    type Done = Vec<Node>;

    async fn on(&self, store: &mut Store) -> Result<Vec<Node>, store::Error> {
        store.nodes().await
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
                let done = self.write(&switch, enforcer).await;
                self.answer(reply, done.map(|done| done.map(|event| (event, self.snapshot()))), publish)
            }
            Command::Change(change, reply) => {
                let done = self.write(&change, enforcer).await;
                self.answer(reply, done.map(|done| done.map(|changed| (changed, self.snapshot()))), publish)
            }
            Command::Reload(reply) => {
                let read = self.refresh(enforcer, true).await;
                let answer = read.map(|read| read.map(|()| self.snapshot()).map_err(Error::NotRead));
                self.answer(reply, answer, publish)
            }
            Command::List(exemption, reply) => {
                let answer = self.look_up(&exemption, enforcer).await;
                self.answer(reply, answer, publish)
            }
            Command::History(limit, reply) => {
                let answer = self.look_up(&History(limit), enforcer).await;
                self.answer(reply, answer, publish)
            }
            Command::Nodes(reply) => {
                let answer = self.look_up(&Nodes, enforcer).await;
                self.answer(reply, answer, publish)
            }
            // The keeper's own loop ends by it, and comes not here.
            Command::End(_) => Ok(()),
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
    async fn write<W: Work>(
        &mut self,
        write: &W,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<W::Done, Error>, dataplane::Error> {
        match self.write_only(write).await {
            Ok(done) => {
                write.tell(&done);
                Ok(self.refresh(enforcer, true).await?.map(|()| done).map_err(Error::NotReadBack))
            }
            Err(error) => {
                // To be up again, or to know why not, before the next command.
                let _ = self.refresh(enforcer, false).await?;
                Ok(Err(if error.recovery() == Recovery::Reject {
                    Error::Refused(error)
                } else {
                    Error::NotWritten(error)
                }))
            }
        }
    }

    async fn write_only<W: Work>(&mut self, write: &W) -> Result<W::Done, store::Error> {
        if let Some(store) = &mut self.store {
            match write.on(store).await {
                // Another file has taken its place, or the connection is gone: nothing is written yet.
                Err(error) if error.recovery() == Recovery::Retry => {}
                Err(error) => {
                    // Where the database rolls back by itself (a full disk), sqlx takes the transaction for open still,
                    // and would not begin another one on this connection.
                    self.close().await;
                    return Err(error);
                }
                Ok(done) => return Ok(done),
            }
        }
        let done = write.on(self.open().await?).await;
        if done.is_err() {
            self.close().await;
        }
        done
    }

    /// Reads what is not part of the policy.
    async fn look_up<W: Work>(
        &mut self,
        question: &W,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<W::Done, Error>, dataplane::Error> {
        let mut answer = match &mut self.store {
            Some(store) => question.on(store).await,
            None => Err(store::Error::Unwatched),
        };
        // It may have been lost while nothing was asked.
        if answer.as_ref().is_err_and(|error| error.recovery() != Recovery::KeepConnection) {
            answer = match self.open().await {
                Ok(store) => question.on(store).await,
                Err(error) => Err(error),
            };
        }
        if answer.is_err() {
            // To be up again, or to know why not.
            let _ = self.refresh(enforcer, false).await?;
        }
        Ok(answer.map_err(Error::NotRead))
    }
}
