//! The thread that logs refused calls: a few lines per second, and the number of calls that were left out.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::refusal_log::{PER_SECOND, Record, RefusalLog};
use crate::stoppable_thread::{StopFlag, StoppableThread};

/// Interval at which the queue is polled: the maximum delay of a line.
const INTERVAL: Duration = Duration::from_millis(200);

/// The thread that logs refused calls. Dropping it logs what is left in the queue, and ends the thread.
#[derive(Debug)]
pub(crate) struct RefusalLogWriter {
    thread: StoppableThread<()>,
}

impl RefusalLogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the operating system creates no thread.
    pub(crate) fn start(log: Arc<RefusalLog>) -> io::Result<Self> {
        let thread = StoppableThread::spawn("refusal-log".to_owned(), move |stop| write(&log, stop))?;
        Ok(Self { thread })
    }

    /// Returns the result of the thread, once, if the thread has ended without being stopped.
    pub(crate) fn take_end(&mut self) -> Option<thread::Result<()>> {
        if self.thread.is_finished() { self.thread.join() } else { None }
    }
}

/// Logs records until the thread is stopped.
///
/// After [`PER_SECOND`] lines, the records stay in the queue, which then fills up, for the rest of the second.
fn write(log: &RefusalLog, stop: &StopFlag) {
    let mut second = Instant::now();
    let mut written = 0;
    while !stop.is_set() {
        if second.elapsed() >= Duration::from_secs(1) {
            write_omitted(log);
            (second, written) = (Instant::now(), 0);
        }
        written += write_records(log, PER_SECOND - written);
        thread::park_timeout(INTERVAL);
    }
    write_records(log, PER_SECOND);
    write_omitted(log);
}

/// Logs up to `limit` records. Returns their number.
fn write_records(log: &RefusalLog, limit: usize) -> usize {
    let mut written = 0;
    while written < limit
        && let Some(Record { call_id, method, source }) = log.pop()
    {
        tracing::info!("refused Call-ID {call_id} method {} source {source}", method.as_str());
        written += 1;
    }
    written
}

fn write_omitted(log: &RefusalLog) {
    let omitted = log.take_omitted();
    if omitted > 0 {
        tracing::info!("refused {omitted} more, not logged one by one (at most {PER_SECOND} a second)");
    }
}
