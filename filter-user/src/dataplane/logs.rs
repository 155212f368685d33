//! The threads that write the logs of the data plane: of refused calls, and of the XDP program.

use std::sync::Arc;
use std::thread;

use aya::Ebpf;
use tracing::{error, warn};

use super::kernel_log;
use crate::panic;
use crate::responder::{RefusalLog, RefusalLogWriter};
use crate::stoppable_thread::StoppableThread;

/// The log threads. Dropping them stops them.
///
/// Calls are refused without them too. If one ends by itself, the data plane logs this and continues. The thread of the
/// refusal log is then started again. The thread of the XDP program's log, which runs only at debug level, is not,
/// because its ring buffer is lost with it.
pub(super) struct Logs {
    refusals: Arc<RefusalLog>,
    refusal_log: Option<RefusalLogWriter>,
    kernel_log: Option<StoppableThread<()>>,
}

impl Logs {
    /// Starts the thread of the refusal log and, with `debug`, the thread of the XDP program's log.
    pub(super) fn start(ebpf: &mut Ebpf, debug: bool) -> Self {
        let kernel_log = debug.then(|| kernel_log::start(ebpf)).and_then(|started| {
            started.inspect_err(|error| warn!("the XDP program's log cannot be read: {error}")).ok()
        });
        let refusals = Arc::new(RefusalLog::new());
        let refusal_log = start_refusal_log(&refusals);
        Self { refusals, refusal_log, kernel_log }
    }

    /// Returns the log to which the responders add the calls that they refuse.
    pub(super) fn refusals(&self) -> &Arc<RefusalLog> {
        &self.refusals
    }

    /// Logs threads that have ended, and starts the thread of the refusal log again.
    pub(super) fn check(&mut self) {
        if let Some(end) = self.kernel_log.take_if(|thread| thread.is_finished()).and_then(|mut thread| thread.join()) {
            error!("the log of the XDP program has ended: {}", describe(end));
        }
        if let Some(end) = self.refusal_log.as_mut().and_then(RefusalLogWriter::take_end) {
            error!("the thread that logs refused calls has ended, and is started again: {}", describe(end));
            self.refusal_log = start_refusal_log(&self.refusals);
        }
    }

    /// Writes what is left, and ends the threads.
    pub(super) fn stop(&mut self) {
        self.refusal_log = None;
        self.kernel_log = None;
    }
}

fn describe(end: thread::Result<()>) -> String {
    match end {
        Ok(()) => "it returned".to_owned(),
        Err(panic) => format!("it panicked: {}", panic::message(&*panic)),
    }
}

fn start_refusal_log(refusals: &Arc<RefusalLog>) -> Option<RefusalLogWriter> {
    RefusalLogWriter::start(Arc::clone(refusals))
        .inspect_err(|error| warn!("refused calls are not logged: cannot start the thread: {error}"))
        .ok()
}
