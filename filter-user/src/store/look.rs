//! A look at a database that changes nothing, not even a file beside it: for the doctor.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::connection::Connection;
use super::file::Stamp;
use super::schema::{self, Plan};
use super::server::connect;
use super::url::Target;
use super::{DatabaseUrl, Error, Missing, sql, sqlite};
use crate::domain::TableName;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The last migration that was made; 0 if none was.
    pub version: i64,
    /// The last one that this version of sip-filter makes.
    pub latest: i64,
}

/// Looks whether the database can be read, has the policy table, and a schema that is known.
pub async fn look(url: &DatabaseUrl, table: &TableName) -> Result<Look, Error> {
    let mut connection = match &url.target {
        Target::Sqlite(options) => Connection::Sqlite(open_file(options).await?),
        Target::MySql(options) => Connection::MySql(connect(&options.clone().disable_statement_logging()).await?),
        Target::Postgres(options) => Connection::Postgres(connect(&options.clone().disable_statement_logging()).await?),
    };
    let plan = plan(&mut connection, table).await;
    connection.close().await;
    let Plan { version, latest, .. } = plan?;
    Ok(Look { version, latest })
}

async fn plan(connection: &mut Connection, table: &TableName) -> Result<Plan, Error> {
    connection.begin_reading().await?;
    let plan = schema::plan(connection, table, Missing::Refuse).await;
    connection.end(plan).await
}

/// Opens the file read-only.
///
/// Even so SQLite makes the files `-wal` and `-shm` of a database in WAL mode that nobody has open. There is no such need
/// with `immutable`, which takes no lock either: right where there is no log, for then nobody is writing.
async fn open_file(options: &SqliteConnectOptions) -> Result<sqlx::sqlite::SqliteConnection, Error> {
    let path = options.get_filename();
    Stamp::of(path)?;
    let unused = is_in_wal_mode(path)? && !log_of(path).exists();
    let options = options.clone().read_only(true).immutable(unused).busy_timeout(sqlite::BUSY_TIMEOUT);
    options.disable_statement_logging().connect().await.map_err(sql("open it"))
}

/// From the header (<https://www.sqlite.org/fileformat2.html>, section 1.3: the "write version" is 2).
fn is_in_wal_mode(path: &Path) -> Result<bool, Error> {
    let mut header = [0; 20];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => Ok(header[18] == 2),
        // Shorter than any database: SQLite says what is wrong with it.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(Error::File { doing: "read", path: path.into(), source }),
    }
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
