//! Inspection of a database for `sip-filter doctor`, without changing anything or creating a file next to it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::connection::Connection;
use super::error::{Error, while_doing};
use super::file::FileId;
use super::if_missing::IfMissing;
use super::schema;
use super::server::connect;
use super::timeout::BUSY_TIMEOUT;
use super::url::{DatabaseUrl, DriverOptions};
use crate::domain::TableName;

/// The schema of a database that was inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Last migration applied; 0 for none.
    pub version: i64,
    /// Last migration of this version of sip-filter.
    pub latest: i64,
}

/// Checks that the database can be read, has the policy table, and has a schema that this version knows.
pub async fn inspect(url: &DatabaseUrl, table: &TableName) -> Result<Inspection, Error> {
    let mut connection = match url.options() {
        DriverOptions::Sqlite(options) => Connection::Sqlite(open_file(options).await?),
        DriverOptions::MySql(options) => {
            Connection::MySql(connect(&options.clone().disable_statement_logging()).await?)
        }
        DriverOptions::Postgres(options) => {
            Connection::Postgres(connect(&options.clone().disable_statement_logging()).await?)
        }
    };
    let plan = async |connection: &mut Connection| schema::plan(connection, table, IfMissing::Fail).await;
    let plan = connection.read(plan).await;
    connection.close().await;
    let plan = plan?;
    Ok(Inspection { version: plan.version(), latest: plan.latest() })
}

/// Opens the file read-only.
///
/// Even then SQLite creates the files `-wal` and `-shm` of a database in WAL mode that no process has open. With
/// `immutable` it does not, and takes no lock. That is safe without a `-wal` file, because then nobody is writing.
async fn open_file(options: &SqliteConnectOptions) -> Result<SqliteConnection, Error> {
    let path = options.get_filename();
    FileId::read(path)?;
    let is_unused = is_in_wal_mode(path)? && !wal_of(path).exists();
    let options = options.clone().read_only(true).immutable(is_unused).busy_timeout(BUSY_TIMEOUT);
    options.disable_statement_logging().connect().await.map_err(while_doing("open it"))
}

/// Returns whether the file is in WAL mode: the "file format write version" in its header is 2
/// (<https://www.sqlite.org/fileformat2.html>, section 1.3).
fn is_in_wal_mode(path: &Path) -> Result<bool, Error> {
    let mut header = [0; 20];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => {
            let [.., write_version, _read_version] = header;
            Ok(write_version == 2)
        }
        // Too short for a database. SQLite reports that when the file is opened.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(Error::File { doing: "read", path: path.into(), source }),
    }
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
