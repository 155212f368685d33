//! The time limits of all operations on a database.

use std::time::Duration;

use tokio::time::timeout;

use super::error::Error;

/// Time limit for one operation on a server.
///
/// An outage has to be reported within 5 s. That leaves time for one poll interval and two operations that time out.
pub(super) const SERVER_TIMEOUT: Duration = Duration::from_millis(1500);
/// Time limit for one operation on a SQLite file. [`BUSY_TIMEOUT`] limits the wait for locks, so that only a file
/// system that hangs takes longer.
pub(super) const FILE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for a lock that another process holds on a SQLite file.
///
/// An outage has to be reported within 5 s. The limit may expire twice before that: the second time after the file was
/// opened again.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);
/// Time limit for bringing the schema of a server up to date. Other clients may hold locks on its tables.
pub(super) const MIGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// Time limit for closing a connection cleanly.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Awaits `work` for at most `limit`.
///
/// # Errors
///
/// [`Error::Timeout`] names `doing`, which completes the sentence "cannot …".
pub(super) async fn with_timeout<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::Timeout { doing, limit }))
}
