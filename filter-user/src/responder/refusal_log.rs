//! The log of refused calls: `Call-ID … method … source …`, a few a second, with a count of what was left out.
//!
//! Under load there are more refusals than any log should hold. The responders leave a record of each in a queue of
//! fixed size, without allocation; when it is full, because the log has its share for now, they only count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;

use filter_reply::{Method, Summary};

/// How many refusals are logged in a second, at most.
const PER_SECOND: usize = 10;
/// How often the records are looked at: how late a line may be.
const INTERVAL: Duration = Duration::from_millis(200);
/// Longer Call-IDs are cut in the log. RFC 3261 sets no limit; usual ones have 20 to 70 octets.
const CALL_ID: usize = 128;

/// Where the responders leave their records.
pub struct RefusalLog {
    records: ArrayQueue<Record>,
    left_out: AtomicU64,
}

struct Record {
    call_id: Text<CALL_ID>,
    method: Method,
    source: SocketAddr,
}

/// The beginning of a text, without allocation.
struct Text<const N: usize> {
    octets: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    fn new(text: &[u8]) -> Self {
        let mut octets = [0; N];
        let length = text.len().min(N);
        octets[..length].copy_from_slice(&text[..length]);
        Self { octets, length }
    }
}

impl<const N: usize> std::fmt::Display for Text<N> {
    /// What is not printable is escaped: it comes from the network and goes to a terminal.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.octets[..self.length].escape_ascii().fmt(formatter)
    }
}

impl RefusalLog {
    /// A log without records.
    pub fn new() -> Self {
        Self { records: ArrayQueue::new(PER_SECOND), left_out: AtomicU64::new(0) }
    }

    /// Leaves a record of a refused call, or counts it.
    pub fn record(&self, refused: &Summary<'_>) {
        if self.records.is_full() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let record = Record { call_id: Text::new(refused.call_id), method: refused.method, source: refused.source };
        if self.records.push(record).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes out what has been recorded, at most `limit` lines. Returns how many.
    fn write(&self, limit: usize) -> usize {
        let mut written = 0;
        while written < limit
            && let Some(Record { call_id, method, source }) = self.records.pop()
        {
            tracing::info!("refused Call-ID {call_id} method {} source {source}", method.as_str());
            written += 1;
        }
        written
    }

    fn write_left_out(&self) {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::info!("refused {left_out} more, not logged one by one (at most {PER_SECOND} a second)");
        }
    }
}

impl Default for RefusalLog {
    fn default() -> Self {
        Self::new()
    }
}

/// The thread that writes the log. Dropping it writes what is left, and ends it.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts writing out `log`.
    pub fn start(log: Arc<RefusalLog>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("refusal-log".to_owned()).spawn(move || write(&log, &told))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Returns how the thread has ended, if it has without being stopped. Returns it once.
    pub fn take_end(&mut self) -> Option<std::thread::Result<()>> {
        Some(self.thread.take_if(|thread| thread.is_finished())?.join())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Looks at the records every [`INTERVAL`]; after [`PER_SECOND`] lines it lets them lie, and full, for the rest of the
/// second.
fn write(log: &RefusalLog, stop: &AtomicBool) {
    let mut second = Instant::now();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        if second.elapsed() >= Duration::from_secs(1) {
            log.write_left_out();
            (second, written) = (Instant::now(), 0);
        }
        written += log.write(PER_SECOND - written);
        std::thread::park_timeout(INTERVAL);
    }
    log.write(PER_SECOND);
    log.write_left_out();
}
