//! The check that the kernel sends responses: a queue whose sends all fail must not get calls, which would vanish.
//!
//! The kernel accepts a response, and then drops it without a word to the sender's ring: on an ipvlan device in mode
//! l3, or while the link has no carrier (`__dev_direct_xmit()`). Only the system call reports it.

use std::time::{Duration, Instant};

/// Number of frames that have to be dropped in a row, with none sent in between.
const DROPS: u64 = 3;

/// First time for which the queue gets no calls.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest time for which the queue gets no calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The number of frames that left the TX ring in a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flushed {
    /// Frames that were sent.
    pub(super) sent: u64,
    /// Frames that the kernel dropped.
    pub(super) dropped: u64,
}

/// Evidence that the kernel sends the responses of a queue, or does not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendHealth {
    /// Frames that were dropped since the last one that was sent.
    drops: u64,
    /// Time until which the queue gets no calls, after all sends have failed, and the length of that time.
    pause: Option<(Instant, Duration)>,
}

impl SendHealth {
    /// Records a flush. Returns whether sends fail from now on, so that the lease has to be given up.
    ///
    /// After a pause, the first frame that is dropped begins the next one, which is twice as long.
    pub(super) fn record(&mut self, flushed: Flushed, now: Instant) -> bool {
        if flushed.sent > 0 {
            *self = Self::default();
        }
        if flushed.dropped == 0 {
            return false;
        }
        self.drops += flushed.dropped;
        let next = match self.pause {
            None if self.drops < DROPS => return false,
            None => FIRST_PAUSE,
            // What had been redirected before the lease was given up.
            Some((until, _)) if now < until => return false,
            Some((_, last)) => (2 * last).min(LONGEST_PAUSE),
        };
        self.pause = Some((now + next, next));
        true
    }

    /// Returns whether all sends have failed, and none has succeeded since.
    pub(super) fn has_failed(&self) -> bool {
        self.pause.is_some()
    }

    /// Returns whether the queue can get calls: there is nothing against it, or it is time to try.
    pub(super) fn allows_lease(&self, now: Instant) -> bool {
        self.pause.is_none_or(|(until, _)| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Flushed, SendHealth};

    const DROPPED: Flushed = Flushed { sent: 0, dropped: 1 };
    const SENT: Flushed = Flushed { sent: 1, dropped: 0 };

    #[test]
    fn lease_is_given_up_after_three_drops_in_a_row() {
        let (mut health, now) = (SendHealth::default(), Instant::now());
        assert_eq!([(); 2].map(|()| health.record(DROPPED, now)), [false; 2]);
        assert!(!health.record(SENT, now));
        assert_eq!([(); 3].map(|()| health.record(DROPPED, now)), [false, false, true]);
        assert!(health.has_failed() && !health.allows_lease(now));
    }

    #[test]
    fn drops_among_frames_that_are_sent_do_no_harm() {
        let (mut health, now) = (SendHealth::default(), Instant::now());
        for _ in 0..100 {
            assert!(!health.record(Flushed { sent: 1, dropped: 2 }, now));
        }
        assert!(!health.has_failed());
    }

    #[test]
    fn pauses_double_up_to_half_a_minute_and_end_with_a_frame_that_is_sent() {
        let (mut health, mut now) = (SendHealth::default(), Instant::now());
        assert_eq!([(); 3].map(|()| health.record(DROPPED, now)), [false, false, true]);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!health.record(DROPPED, now), "redirected before the lease was given up");
            assert!(!health.allows_lease(now + Duration::from_millis(1000 * seconds - 1)));
            now += Duration::from_secs(seconds);
            assert!(health.allows_lease(now) && health.has_failed());
            assert!(health.record(DROPPED, now));
        }
        health.record(SENT, now);
        assert!(!health.has_failed() && health.allows_lease(now));
    }
}
