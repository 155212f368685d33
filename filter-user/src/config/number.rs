//! The options that are numbers with a range.

use std::time::Duration;

use filter_common::maps::DEFAULT_TRANSACTIONS;
use filter_reply::number;

number! {
    /// Number of INVITEs to remember, of those that passed and of those that were refused.
    ///
    /// A test can fill the smallest table, and the kernel still has memory for the largest.
    Transactions(u32) in 1024..=4_194_304, default DEFAULT_TRANSACTIONS, get;
    InvalidTransactions: "the number of transactions is {least} to {most}, not {value}"
}

number! {
    /// Lease of a responder, in milliseconds.
    ///
    /// A responder renews its lease several times before it ends, and one that hangs has to fail open within seconds.
    Lease(u32) in 100..=10_000, default 1000, get;
    InvalidLease: "a lease is {least} to {most} ms, not {value}"
}

number! {
    /// Time for which a responder polls the driver after the last packet, in microseconds; 0 for not at all.
    ///
    /// With the longest, a responder hardly ever sleeps while calls arrive.
    BusyPollWindow(u32) in 0..=1_000_000, default 0, get;
    InvalidBusyPollWindow: "busy polling is 1 to {most} microseconds, or {least} for none, not {value}"
}

impl Lease {
    /// Returns the duration of the lease.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

impl BusyPollWindow {
    /// Returns the duration; zero for no busy polling.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Display;
    use std::str::FromStr;

    use rstest::rstest;

    use super::{BusyPollWindow, Lease, Transactions};

    /// Checks a text, and that the error names the range.
    #[track_caller]
    fn check<T: FromStr<Err: Display>>(text: &str, valid: bool, range: &str) {
        match text.parse::<T>() {
            Ok(_) => assert!(valid, "{text} was accepted"),
            Err(error) => assert!(!valid && error.to_string().contains(range), "{error}"),
        }
    }

    #[rstest]
    #[case::too_few("1023", false)]
    #[case::fewest("1024", true)]
    #[case::most("4194304", true)]
    #[case::too_many("4194305", false)]
    fn transactions_are_1024_to_4194304(#[case] text: &str, #[case] valid: bool) {
        check::<Transactions>(text, valid, "1024 to 4194304");
    }

    #[rstest]
    #[case::too_short("99", false)]
    #[case::shortest("100", true)]
    #[case::longest("10000", true)]
    #[case::too_long("10001", false)]
    #[case::word("soon", false)]
    fn lease_is_100_to_10000_ms(#[case] text: &str, #[case] valid: bool) {
        check::<Lease>(text, valid, "100 to 10000 ms");
    }

    #[rstest]
    #[case::off("0", true)]
    #[case::shortest("1", true)]
    #[case::longest("1000000", true)]
    #[case::too_long("1000001", false)]
    #[case::unit("50us", false)]
    fn busy_poll_window_is_at_most_a_second(#[case] text: &str, #[case] valid: bool) {
        check::<BusyPollWindow>(text, valid, "1 to 1000000");
    }
}
