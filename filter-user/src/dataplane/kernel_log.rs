//! The log of the XDP program, read by `aya-log`: only at debug level, and only rare events.

use std::io;
use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya_log::EbpfLogger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stoppable_thread::{StopFlag, StoppableThread};

/// Maximum time in milliseconds for which the thread waits before it checks its stop flag.
const INTERVAL_MS: u16 = 200;

/// The error of a log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelLogError {
    /// `aya-log` cannot open the ring buffer.
    #[error("{0}")]
    Logger(#[from] aya_log::Error),
    /// The thread cannot be started.
    #[error("cannot start its thread: {0}")]
    Thread(#[from] io::Error),
}

/// Starts a thread that reads the log of `ebpf`. The records go to the `log` crate, and from there to `tracing`.
pub(super) fn start(ebpf: &mut Ebpf) -> Result<StoppableThread<()>, KernelLogError> {
    let logger = EbpfLogger::init(ebpf)?;
    Ok(StoppableThread::spawn("kernel-log".to_owned(), move |stop| read(logger, stop))?)
}

fn read(mut logger: EbpfLogger<&'static dyn log::Log>, stop: &StopFlag) {
    while !stop.is_set() {
        // If the wait fails, the records are read all the same.
        let _ = poll(&mut [PollFd::new(logger.as_fd(), PollFlags::POLLIN)], PollTimeout::from(INTERVAL_MS));
        logger.flush();
    }
}
