//! Threads that run until they are asked to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A request to stop, which a thread polls.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Returns whether the thread has been asked to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread that runs until its work ends or it is asked to stop. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct StoppableThread<T> {
    flag: StopFlag,
    /// `None` once the thread has been joined.
    handle: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> StoppableThread<T> {
    /// Spawns a thread that does `work`, which has to poll the flag.
    ///
    /// # Errors
    ///
    /// If the operating system creates no thread.
    pub(crate) fn spawn(name: String, work: impl FnOnce(&StopFlag) -> T + Send + 'static) -> io::Result<Self> {
        let flag = StopFlag::default();
        let polled = flag.clone();
        let handle = thread::Builder::new().name(name).spawn(move || work(&polled))?;
        Ok(Self { flag, handle: Some(handle) })
    }
}

impl<T> StoppableThread<T> {
    /// Asks the thread to stop, and wakes it if it is parked. Does not wait for it.
    pub(crate) fn request_stop(&self) {
        self.flag.0.store(true, Ordering::Relaxed);
        if let Some(handle) = &self.handle {
            handle.thread().unpark();
        }
    }

    /// Returns whether the thread has ended and has not been joined yet.
    pub(crate) fn is_finished(&self) -> bool {
        self.handle.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Stops the thread and waits for it. Returns its result, or `None` if it has already been joined.
    pub(crate) fn join(&mut self) -> Option<thread::Result<T>> {
        self.request_stop();
        Some(self.handle.take()?.join())
    }
}

impl<T> Drop for StoppableThread<T> {
    fn drop(&mut self) {
        // A panic has been reported by the panic hook.
        let _ = self.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, TryRecvError};
    use std::thread;

    use super::StoppableThread;

    fn park_until_stopped() -> StoppableThread<&'static str> {
        let work = |stop: &super::StopFlag| {
            while !stop.is_set() {
                thread::park();
            }
            "stopped"
        };
        StoppableThread::spawn("test".to_owned(), work).unwrap()
    }

    #[test]
    fn parked_thread_stops_when_it_is_joined() {
        let mut thread = park_until_stopped();
        assert!(!thread.is_finished());
        assert_eq!(thread.join().unwrap().unwrap(), "stopped");
    }

    #[test]
    fn thread_is_joined_only_once() {
        let mut thread = park_until_stopped();
        assert!(thread.join().is_some());
        assert!(thread.join().is_none());
        assert!(!thread.is_finished());
    }

    #[test]
    fn dropping_a_thread_stops_it_and_waits_for_it() {
        let (sender, receiver) = mpsc::channel::<()>();
        let work = move |stop: &super::StopFlag| {
            while !stop.is_set() {
                thread::park();
            }
            drop(sender);
        };
        drop(StoppableThread::spawn("test".to_owned(), work).unwrap());
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn panic_of_a_thread_is_returned_by_join() {
        let mut thread = StoppableThread::spawn("test".to_owned(), |_| panic!("expected by the test")).unwrap();
        let panic = thread.join().unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"expected by the test"));
    }
}
