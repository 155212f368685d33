//! Detection of changes, for both kinds of databases: files and servers.

use super::connection::Connection;
use super::error::Error;
use super::server::ServerWatch;
use super::sqlite::FileWatch;
use super::timeout::{SERVER_TIMEOUT, with_timeout};

/// A watch on an open database.
pub(super) enum Watch {
    File(FileWatch),
    Server(ServerWatch),
}

/// A version of the contents, by which a file's watch recognises changes. A server's watch needs none.
pub(super) struct Version(Option<i64>);

impl Watch {
    /// Returns whether the database is on a server.
    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Returns the version of the database before it is read. Everything that is committed later counts as a change.
    pub(super) async fn version(&mut self, connection: &mut Connection) -> Result<Version, Error> {
        Ok(Version(match self {
            Self::File(watch) => Some(watch.version(connection).await?),
            Self::Server(_) => None,
        }))
    }

    /// Records that the database was read, beginning at `version`.
    pub(super) fn record_read(&mut self, version: &Version) {
        if let (Self::File(watch), Version(Some(version))) = (self, version) {
            watch.record_read(*version);
        }
    }

    /// Waits until the database may have changed since it was read. This method is cancel safe.
    pub(super) async fn changed(&mut self, connection: &mut Connection) -> Result<(), Error> {
        match self {
            Self::File(watch) => watch.changed(connection).await,
            Self::Server(watch) => watch.changed().await,
        }
    }

    /// Checks that what is written over `connection` will persist: a file may have been replaced, and a server may have
    /// closed a connection that was idle for a day.
    pub(super) async fn ensure_writable(&self, connection: &mut Connection) -> Result<(), Error> {
        match self {
            Self::File(watch) => watch.ensure_same_file(),
            Self::Server(_) => {
                let ping = async { connection.ping().await.map_err(Error::Stale) };
                with_timeout(SERVER_TIMEOUT, "reach it", ping).await
            }
        }
    }
}
