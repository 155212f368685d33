//! The share of new calls that is refused.

use filter_reply::number;

number! {
    /// A share of new calls in percent. A policy that refuses no calls is maintenance off.
    ///
    /// The default is all new calls.
    Percent(u8) in 1..=100, default Percent::ALL.get(), get;
    InvalidPercent: "a share of new calls is a number from {least} to {most}, in percent"
}

impl Percent {
    /// All new calls.
    pub const ALL: Self = Self(*Self::RANGE.end());
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Percent;

    #[rstest]
    #[case::least("1", Some(1))]
    #[case::some("30", Some(30))]
    #[case::all("100", Some(100))]
    #[case::none("0", None)]
    #[case::more_than_all("101", None)]
    #[case::beyond_8_bits("256", None)]
    #[case::unit("30%", None)]
    #[case::signed("+30", None)]
    #[case::empty("", None)]
    fn percent_is_a_plain_number_from_1_to_100(#[case] text: &str, #[case] percent: Option<u8>) {
        assert_eq!(text.parse().ok().map(Percent::get), percent);
    }
}
