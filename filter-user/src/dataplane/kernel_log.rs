//! The log of the XDP program, by `aya-log`: only at debug level, and only for what is rare.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use aya::Ebpf;
use aya_log::EbpfLogger;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often the thread looks whether it is to end.
const INTERVAL_MS: u16 = 200;

/// The thread that reads the kernel's log. Dropping it ends it.
pub(super) struct KernelLog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl KernelLog {
    /// Starts reading the log of `ebpf`; what it says goes to the `log` crate, and by that to `tracing`.
    pub(super) fn start(ebpf: &mut Ebpf) -> Result<Self, String> {
        let logger = EbpfLogger::init(ebpf).map_err(|error| error.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("kernel-log".to_owned())
            .spawn(move || read(logger, &told))
            .map_err(|error| error.to_string())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for KernelLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked in a way that would matter now.
            let _ = thread.join();
        }
    }
}

fn read(mut logger: EbpfLogger<&'static dyn log::Log>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // A failed wait is only a late look.
        let _ = poll(&mut [PollFd::new(logger.as_fd(), PollFlags::POLLIN)], PollTimeout::from(INTERVAL_MS));
        logger.flush();
    }
}
