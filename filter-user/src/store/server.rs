//! MySQL, MariaDB and PostgreSQL: opening a database on a server, and watching it for changes.
//!
//! The watch has its own connection and task. It is therefore never cancelled while it waits for a reply, and detects
//! an outage while the other connection is idle.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::connection::Connection;
use super::error::{Error, while_doing};
use super::if_missing::IfMissing;
use super::rows::Row;
use super::timeout::{SERVER_TIMEOUT, with_timeout};
use super::{entry_table, event_table, policy_table, schema};
use crate::domain::TableName;

/// Interval between two polls of a server that does not notify us. A row has to be in force within 250 ms: this is less
/// than half of that.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between two polls of a server that notifies us. They detect an outage, and changes if the trigger is lost.
const SLOW_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Channel of the notifications from our triggers in PostgreSQL.
const CHANNEL: &str = "sip_filter";
const WATCHING: &str = "watch it";

/// A report of the watch: a change, or the error that ended the watch.
type Report = Result<(), Error>;

/// A watch on a server.
pub(super) struct ServerWatch {
    /// Holds one report: it covers all changes, because everything is read after it.
    reports: mpsc::Receiver<Report>,
    task: JoinHandle<()>,
}

impl Drop for ServerWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServerWatch {
    /// Waits for a change. This method is cancel safe.
    pub(super) async fn changed(&mut self) -> Result<(), Error> {
        self.reports.recv().await.unwrap_or(Err(Error::Unwatched))
    }
}

/// Connects to a server.
pub(super) async fn connect<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<O::Connection, Error> {
    let doing = "connect to it";
    with_timeout(SERVER_TIMEOUT, doing, async { options.connect().await.map_err(while_doing(doing)) }).await
}

/// Opens a MySQL or MariaDB database. Also returns the steps that bringing it up to date took, one line each.
pub(super) async fn open_mysql(
    options: &MySqlConnectOptions,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<(Connection, ServerWatch, Vec<String>), Error> {
    let options = options.clone().disable_statement_logging();
    let mut connection = connect(&options).await?;
    let steps = schema::migrate_mysql(&mut connection, table, if_missing).await?;
    let poll = Poll::new(Connection::MySql(connect(&options).await?), table, POLL_INTERVAL).await?;
    let (sender, reports) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let error = poll.run(&sender).await;
        let _ = sender.send(Err(error)).await;
    });
    Ok((Connection::MySql(connection), ServerWatch { reports, task }, steps))
}

/// Opens a PostgreSQL database. Also returns the steps that bringing it up to date took, one line each.
pub(super) async fn open_postgres(
    options: &PgConnectOptions,
    table: &TableName,
    if_missing: IfMissing,
) -> Result<(Connection, ServerWatch, Vec<String>), Error> {
    let options = options.clone().disable_statement_logging();
    let mut connection = connect(&options).await?;
    let (steps, has_trigger) = schema::migrate_postgres(&mut connection, table, if_missing).await?;
    let listener = with_timeout(SERVER_TIMEOUT, WATCHING, listener(&options)).await?;
    let interval = if has_trigger { SLOW_POLL_INTERVAL } else { POLL_INTERVAL };
    let poll = Poll::new(Connection::Postgres(connect(&options).await?), table, interval).await?;
    let (sender, reports) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let error = tokio::select! {
            error = listen(listener, &sender) => error,
            error = poll.run(&sender) => error,
        };
        let _ = sender.send(Err(error)).await;
    });
    Ok((Connection::Postgres(connection), ServerWatch { reports, task }, steps))
}

async fn listener(options: &PgConnectOptions) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(SERVER_TIMEOUT);
    let pool = pool.connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await.map_err(while_doing(WATCHING))?;
    listener.listen(CHANNEL).await.map_err(while_doing(WATCHING))?;
    Ok(listener)
}

/// Reports a change at each notification. Returns the error that ends it.
async fn listen(mut listener: PgListener, reports: &mpsc::Sender<Report>) -> Error {
    loop {
        match listener.try_recv().await {
            Ok(Some(_)) => report_change(reports),
            Ok(None) => return Error::Unwatched,
            Err(error) => return while_doing(WATCHING)(error),
        }
    }
}

fn report_change(reports: &mpsc::Sender<Report>) {
    // Full: the report that waits covers this change too. Closed: the owner is about to abort the task.
    let _ = reports.try_send(Ok(()));
}

/// A poll of a server for changes.
struct Poll {
    connection: Connection,
    table: TableName,
    interval: Duration,
    last: Fingerprint,
}

impl Poll {
    /// Takes the first fingerprint: later changes are reported.
    async fn new(mut connection: Connection, table: &TableName, interval: Duration) -> Result<Self, Error> {
        let last = with_timeout(SERVER_TIMEOUT, WATCHING, fingerprint(&mut connection, table)).await?;
        Ok(Self { connection, table: table.clone(), interval, last })
    }

    /// Reports changes. Returns the error that ends it.
    async fn run(mut self, reports: &mpsc::Sender<Report>) -> Error {
        loop {
            sleep(self.interval).await;
            let fingerprint = fingerprint(&mut self.connection, &self.table);
            match with_timeout(SERVER_TIMEOUT, WATCHING, fingerprint).await {
                Ok(now) if now == self.last => {}
                Ok(now) => {
                    self.last = now;
                    report_change(reports);
                }
                Err(error) => return error,
            }
        }
    }
}

/// A value that changes with everything that a reading contains.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    rows: Vec<Row>,
    event: i64,
    lists: Vec<String>,
}

async fn fingerprint(connection: &mut Connection, table: &TableName) -> Result<Fingerprint, Error> {
    let rows = policy_table::read(connection, table).await?;
    let event = event_table::last_id(connection).await?;
    let lists = entry_table::digests(connection).await?;
    Ok(Fingerprint { rows, event, lists })
}
