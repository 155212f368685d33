//! Delays between attempts to reach or to start something that has failed: the database, Kamailio, a part of the daemon.

use std::time::Duration;

/// Delays that double up to a limit. Each is varied by up to a quarter at random, so that the daemons of a cluster do
/// not all come back to their database at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Counts a failure, and returns the delay before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0_u8];
        // Without random numbers the delay is not varied.
        let random = getrandom::fill(&mut random).map_or(128, |()| random[0]);
        delay.mul_f32(0.75 + 0.5 * f32::from(random) / 255.0)
    }

    /// Starts again with the first delay, after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn delays_grow_to_a_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        for centre in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.next_delay();
            let (least, most) = (Duration::from_millis(centre * 3 / 4), Duration::from_millis(centre * 5 / 4));
            assert!((least..=most).contains(&delay), "{delay:?} around {centre} ms");
        }
        (0..100).for_each(|_| assert!(backoff.next_delay() <= Duration::from_millis(1250)));
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(125));
    }
}
