//! MySQL, MariaDB and PostgreSQL: how a server is opened, and watched for changes by a connection of its own.
//!
//! The watch has its own connection and task, so that it is never cut short in the middle of a conversation with the
//! server, and notices an outage while the other connection has nothing to do.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::connection::{Connection, PATIENCE, within};
use super::{Error, Missing, Row, event_table, exemption_table, policy_table, schema, sql};
use crate::domain::TableName;

/// How often a server is asked that does not tell: less than half of the 250 ms in which a row is to be in force.
const POLL: Duration = Duration::from_millis(100);
/// How often one is asked that tells: a net, should a trigger be missing that was there, and a sign of life.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// What our triggers in PostgreSQL notify.
const CHANNEL: &str = "sip_filter";

/// A server, watched.
pub(super) struct ServerWatch {
    /// A change, or why the watch has ended. One that waits is enough: all of it is read then.
    news: mpsc::Receiver<Result<(), Error>>,
    task: JoinHandle<()>,
}

impl Drop for ServerWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServerWatch {
    /// Returns at a change. Nothing is lost if the future is dropped.
    pub(super) async fn changed(&mut self) -> Result<(), Error> {
        self.news.recv().await.unwrap_or(Err(Error::Unwatched))
    }
}

/// Connects, if the server answers in time.
pub(super) async fn connect<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<O::Connection, Error> {
    let doing = "connect to it";
    within(PATIENCE, doing, async { options.connect().await.map_err(sql(doing)) }).await
}

/// Opens a MySQL or MariaDB database.
pub(super) async fn open_mysql(
    options: &MySqlConnectOptions,
    table: &TableName,
    missing: Missing,
) -> Result<(Connection, ServerWatch, Vec<String>), Error> {
    let options = options.clone().disable_statement_logging();
    let mut connection = connect(&options).await?;
    let steps = schema::mysql(&mut connection, table, missing).await?;
    let mut watching = Connection::MySql(connect(&options).await?);
    let known = within(PATIENCE, "watch it", fingerprint(&mut watching, table)).await?;
    let (table, (tell, news)) = (table.clone(), mpsc::channel(1));
    let task = tokio::spawn(async move {
        let ended = poll(POLL, &mut watching, &table, known, &tell).await;
        let _ = tell.send(Err(ended)).await;
    });
    Ok((Connection::MySql(connection), ServerWatch { news, task }, steps))
}

/// Opens a PostgreSQL database.
pub(super) async fn open_postgres(
    options: &PgConnectOptions,
    table: &TableName,
    missing: Missing,
) -> Result<(Connection, ServerWatch, Vec<String>), Error> {
    let options = options.clone().disable_statement_logging();
    let mut connection = connect(&options).await?;
    let (steps, told) = schema::postgres(&mut connection, table, missing).await?;

    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(options.clone());
    let listen = async {
        let mut listener = PgListener::connect_with(&pool).await.map_err(sql("watch it"))?;
        listener.listen(CHANNEL).await.map_err(sql("watch it"))?;
        Ok(listener)
    };
    let listener = within(PATIENCE, "watch it", listen).await?;
    let mut watching = Connection::Postgres(connect(&options).await?);
    let known = within(PATIENCE, "watch it", fingerprint(&mut watching, table)).await?;

    let (table, (tell, news)) = (table.clone(), mpsc::channel(1));
    let task = tokio::spawn(async move {
        let pause = if told { SLOW_POLL } else { POLL };
        let ended = tokio::select! {
            ended = listen_on(listener, &tell) => ended,
            ended = poll(pause, &mut watching, &table, known, &tell) => ended,
        };
        let _ = tell.send(Err(ended)).await;
    });
    Ok((Connection::Postgres(connection), ServerWatch { news, task }, steps))
}

/// Tells what the server tells, until that fails.
async fn listen_on(mut listener: PgListener, tell: &mpsc::Sender<Result<(), Error>>) -> Error {
    loop {
        match listener.try_recv().await {
            Ok(Some(_)) => tell_change(tell),
            Ok(None) => return Error::Unwatched,
            Err(error) => return sql("watch it")(error),
        }
    }
}

/// Tells what has changed since `known`, until the server cannot be asked any more.
async fn poll(
    pause: Duration,
    connection: &mut Connection,
    table: &TableName,
    mut known: Fingerprint,
    tell: &mpsc::Sender<Result<(), Error>>,
) -> Error {
    loop {
        sleep(pause).await;
        match within(PATIENCE, "watch it", fingerprint(connection, table)).await {
            Ok(now) if now == known => {}
            Ok(now) => {
                known = now;
                tell_change(tell);
            }
            Err(error) => return error,
        }
    }
}

fn tell_change(tell: &mpsc::Sender<Result<(), Error>>) {
    // Full: one that was not heard yet stands for this one too. Closed: the task is ended by its owner.
    let _ = tell.try_send(Ok(()));
}

/// What differs if anything that is read has changed.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    rows: Vec<Row>,
    event: i64,
    bypass: String,
    emergency: String,
}

async fn fingerprint(connection: &mut Connection, table: &TableName) -> Result<Fingerprint, Error> {
    let rows = policy_table::read(connection, table).await?;
    let event = event_table::last(connection).await?;
    let (bypass, emergency) = exemption_table::digests(connection).await?;
    Ok(Fingerprint { rows, event, bypass, emergency })
}
