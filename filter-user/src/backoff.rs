//! When to try again to reach what is down: the database, Kamailio.

use std::time::Duration;

/// The pauses between attempts: doubling up to a limit, each a quarter longer or shorter by chance, so that the
/// daemons of a cluster do not all come back to their database at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// The pause after one more failure.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut chance = [0_u8];
        // Without random numbers the middle will do.
        let chance = getrandom::fill(&mut chance).map_or(128, |()| chance[0]);
        pause.mul_f32(0.75 + 0.5 * f32::from(chance) / 255.0)
    }

    /// It works again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn pauses_grow_to_a_limit_and_start_anew() {
        let mut backoff = Backoff::default();
        for centre in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.failed();
            let (least, most) = (Duration::from_millis(centre * 3 / 4), Duration::from_millis(centre * 5 / 4));
            assert!((least..=most).contains(&pause), "{pause:?} around {centre} ms");
        }
        (0..100).for_each(|_| assert!(backoff.failed() <= Duration::from_millis(1250)));
        backoff.succeeded();
        assert!(backoff.failed() <= Duration::from_millis(125));
    }
}
