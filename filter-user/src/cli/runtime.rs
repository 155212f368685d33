//! The runtime of commands that use the database themselves.

use super::error::Error;

/// Runs a future to its end, on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::failed(format!("cannot start an asynchronous runtime: {error}")))?;
    Ok(runtime.block_on(future))
}
