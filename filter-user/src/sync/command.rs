//! Commands to the keeper, and the operations on the database that execute them.

use tokio::sync::oneshot;

use super::{Error, Snapshot, report};
use crate::domain::{Change, Changed, Entry, Event, ListKind, Node, Switch};
use crate::store::{self, Store};

/// A channel for the reply to a command.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A command to the keeper. A reply with a [`Snapshot`] says what is in force after it.
#[derive(Debug)]
pub enum Command {
    /// Write a switch and put it in force. The reply has the number of its event.
    Switch(Switch, Reply<(i64, Snapshot)>),
    /// Change the entries of a list and put them in force.
    Change(Change, Reply<(Changed, Snapshot)>),
    /// Read the database now and apply it, changed or not.
    Reload(Reply<Snapshot>),
    /// Read the entries of the lists of a kind, with who added them and why.
    List(ListKind, Reply<Vec<Entry>>),
    /// Read the last events, the newest first, up to this number.
    History(u32, Reply<Vec<Event>>),
    /// Read the hosts that share the database.
    Nodes(Reply<Vec<Node>>),
}

/// An operation on the open database.
pub(super) trait StoreOp: Sync {
    /// Result of the operation.
    type Output: Send;

    /// Runs the operation.
    fn run(&self, store: &mut Store) -> impl Future<Output = Result<Self::Output, store::Error>> + Send;

    /// Logs that the operation is done, before its result is in force.
    fn log(&self, _output: &Self::Output) {}
}

impl StoreOp for Switch {
    type Output = i64;

    async fn run(&self, store: &mut Store) -> Result<i64, store::Error> {
        store.switch(self).await
    }
}

impl StoreOp for Change {
    type Output = Changed;

    async fn run(&self, store: &mut Store) -> Result<Changed, store::Error> {
        store.change(self).await
    }

    fn log(&self, output: &Changed) {
        report::changed(self, output);
    }
}

impl StoreOp for ListKind {
    type Output = Vec<Entry>;

    async fn run(&self, store: &mut Store) -> Result<Vec<Entry>, store::Error> {
        store.list(*self).await
    }
}

/// Reads the last events, up to this number.
pub(super) struct History(pub(super) u32);

impl StoreOp for History {
    type Output = Vec<Event>;

    async fn run(&self, store: &mut Store) -> Result<Vec<Event>, store::Error> {
        store.history(self.0).await
    }
}

/// Reads the hosts that share the database.
pub(super) struct Nodes;

impl StoreOp for Nodes {
    type Output = Vec<Node>;

    async fn run(&self, store: &mut Store) -> Result<Vec<Node>, store::Error> {
        store.nodes().await
    }
}
