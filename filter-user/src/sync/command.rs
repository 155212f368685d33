//! What the keeper does when it is asked to.

use tokio::sync::watch;

use super::keeper::Keeper;
use super::{Command, Enforcer, Error, Reply, Snapshot, report};
use crate::dataplane;
use crate::store::{self, Change, Changed, Entry, Event, Exemption, Node, Store, Switch};

/// What is written on request.
enum Write {
    Switch(Switch),
    Change(Change),
}

/// What it has done.
enum Written {
    /// A switch, with the number of its event.
    Switch(i64),
    Change(Changed),
}

impl Write {
    async fn to(&self, store: &mut Store) -> Result<Written, store::Error> {
        match self {
            Self::Switch(switch) => store.switch(switch).await.map(Written::Switch),
            Self::Change(change) => store.change(change).await.map(Written::Change),
        }
    }
}

/// What is read on request.
enum Question {
    Entries(Exemption),
    History(u32),
    Nodes,
}

/// The answer to it.
enum Answer {
    Entries(Vec<Entry>),
    History(Vec<Event>),
    Nodes(Vec<Node>),
}

impl Question {
    async fn to(&self, store: &mut Store) -> Result<Answer, store::Error> {
        match self {
            Self::Entries(exemption) => store.list(*exemption).await.map(Answer::Entries),
            Self::History(limit) => store.history(*limit).await.map(Answer::History),
            Self::Nodes => store.nodes().await.map(Answer::Nodes),
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
                let answer = done.map(|done| {
                    done.map(|written| (if let Written::Switch(event) = written { event } else { 0 }, self.snapshot()))
                });
                self.answer(reply, answer, publish)
            }
            Command::Change(change, reply) => {
                let done = self.write(&Write::Change(change), enforcer).await;
                let answer = done.map(|done| {
                    done.map(|written| match written {
                        Written::Change(changed) => (changed, self.snapshot()),
                        Written::Switch(_) => (Changed::default(), self.snapshot()),
                    })
                });
                self.answer(reply, answer, publish)
            }
            Command::Reload(reply) => {
                let read = self.refresh(enforcer, true).await;
                let answer = read.map(|read| read.map(|()| self.snapshot()).map_err(Error::NotRead));
                self.answer(reply, answer, publish)
            }
            Command::List(exemption, reply) => {
                let answer = self.look_up(&Question::Entries(exemption), enforcer).await;
                let entries = |answer| if let Answer::Entries(entries) = answer { entries } else { Vec::new() };
                self.answer(reply, answer.map(|answer| answer.map(entries)), publish)
            }
            Command::History(limit, reply) => {
                let answer = self.look_up(&Question::History(limit), enforcer).await;
                let events = |answer| if let Answer::History(events) = answer { events } else { Vec::new() };
                self.answer(reply, answer.map(|answer| answer.map(events)), publish)
            }
            Command::Nodes(reply) => {
                let answer = self.look_up(&Question::Nodes, enforcer).await;
                let nodes = |answer| if let Answer::Nodes(nodes) = answer { nodes } else { Vec::new() };
                self.answer(reply, answer.map(|answer| answer.map(nodes)), publish)
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
    async fn write(
        &mut self,
        write: &Write,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<Written, Error>, dataplane::Error> {
        match self.write_only(write).await {
            Ok(written) => {
                if let (Write::Change(change), Written::Change(done)) = (write, &written) {
                    report::changed(change, done);
                }
                Ok(self.refresh(enforcer, true).await?.map(|()| written).map_err(Error::NotReadBack))
            }
            Err(error) => {
                // To be up again, or to know why not, before the next command.
                let _ = self.refresh(enforcer, false).await?;
                Ok(Err(if error.is_refusal() { Error::Refused(error) } else { Error::NotWritten(error) }))
            }
        }
    }

    async fn write_only(&mut self, write: &Write) -> Result<Written, store::Error> {
        if let Some(store) = &mut self.store {
            match write.to(store).await {
                // Another file has taken its place, or the connection is gone: nothing is written yet.
                Err(error) if error.is_stale() => {}
                Err(error) => {
                    // Where the database rolls back by itself (a full disk), sqlx takes the transaction for open still,
                    // and would not begin another one on this connection.
                    self.close().await;
                    return Err(error);
                }
                Ok(written) => return Ok(written),
            }
        }
        let done = write.to(self.open().await?).await;
        if done.is_err() {
            self.close().await;
        }
        done
    }

    async fn look_up(
        &mut self,
        question: &Question,
        enforcer: &mut impl Enforcer,
    ) -> Result<Result<Answer, Error>, dataplane::Error> {
        let mut answer = match &mut self.store {
            Some(store) => question.to(store).await,
            None => Err(store::Error::Unwatched),
        };
        // It may have been lost while nothing was asked.
        if answer.as_ref().is_err_and(|error| !error.is_answer()) {
            answer = match self.open().await {
                Ok(store) => question.to(store).await,
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
