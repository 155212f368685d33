//! What the database says is to be done: the policy that the daemon keeps in force.

mod emergency;
mod methods;
mod refusal;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use emergency::{EmergencyUser, InvalidUser};
pub use methods::{InvalidMethods, Methods};
pub use refusal::{InvalidValue, Refusal};

use crate::prefix::Prefix;

/// A policy, as the rows of the `htable_config` table and the tables of exemptions state it.
///
/// The default is what a database without any of our rows says: maintenance off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Row `maint`: whether new calls are refused.
    pub maintenance: bool,
    /// How they are refused.
    pub refusal: Refusal,
    /// Row `maint_percent`: the share of new calls that is refused, 1 to 100.
    #[serde(default = "whole")]
    pub percent: u8,
    /// Row `maint_methods`: which requests are refused.
    #[serde(default)]
    pub methods: Methods,
    /// Row `maint_until`: when maintenance ends by itself.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Table `sip_filter_bypass`: where calls come from that are never refused.
    #[serde(default)]
    pub bypass: BTreeSet<Prefix>,
    /// Table `sip_filter_emergency`: whom to call is an emergency, and never refused.
    #[serde(default = "EmergencyUser::defaults")]
    pub emergency: BTreeSet<EmergencyUser>,
}

/// All new calls, in percent.
const fn whole() -> u8 {
    100
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            maintenance: false,
            refusal: Refusal::default(),
            percent: whole(),
            methods: Methods::default(),
            until: None,
            bypass: BTreeSet::new(),
            emergency: EmergencyUser::defaults(),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.maintenance {
            return f.write_str("maintenance off");
        }
        let Refusal { code, reason, retry_after } = &self.refusal;
        write!(f, "maintenance on: {code} {reason}")?;
        if *retry_after != 0 {
            write!(f, ", Retry-After {retry_after} s")?;
        }
        self.scope().map_or(Ok(()), |scope| write!(f, ", {scope}"))
    }
}

impl Policy {
    /// Which requests are refused while maintenance is on, if it is not just every new call, and how long, if that is known.
    pub fn scope(&self) -> Option<String> {
        let percent = (self.percent != whole()).then(|| format!("{} % of new calls", self.percent));
        let methods = (self.methods != Methods::default()).then(|| format!("methods {}", self.methods));
        let until = self.until.map(|until| format!("until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC")));
        let parts: Vec<String> = percent.into_iter().chain(methods).chain(until).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Reads a planned end: Unix time in seconds; `0` is none, for who cannot delete a row.
    pub fn parse_until(text: &str) -> Result<Option<Timestamp>, InvalidUntil> {
        match decimal(text) {
            None => Err(InvalidUntil),
            Some(0) => Ok(None),
            Some(seconds) => Timestamp::from_second(seconds.into()).map(Some).map_err(|_| InvalidUntil),
        }
    }

    /// Ends maintenance if its planned end is over at `now`. Whether it did.
    pub fn end_as_planned(&mut self, now: Timestamp) -> bool {
        let over = self.maintenance && self.until.is_some_and(|until| until <= now);
        self.maintenance &= !over;
        over
    }

    /// Checks a policy that did not come through the `parse_` functions: one from a file.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        self.refusal.check()?;
        Self::check_percent(self.percent)?;
        Ok(())
    }

    /// Checks a share, in percent.
    pub fn check_percent(percent: u8) -> Result<u8, InvalidPercent> {
        if (1..=whole()).contains(&percent) { Ok(percent) } else { Err(InvalidPercent) }
    }

    /// Reads a share, in percent.
    pub fn parse_percent(text: &str) -> Result<u8, InvalidPercent> {
        let percent = decimal(text).and_then(|percent| u8::try_from(percent).ok());
        percent.ok_or(InvalidPercent).and_then(Self::check_percent)
    }
}

/// Why a text is no planned end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a planned end is a Unix time in seconds, or 0 for none")]
pub struct InvalidUntil;

/// Why a policy cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The response.
    #[error(transparent)]
    Refusal(#[from] InvalidValue),
    /// The share.
    #[error(transparent)]
    Percent(#[from] InvalidPercent),
}

/// Why a text is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share of new calls is a number from 1 to 100, in percent")]
pub struct InvalidPercent;

/// A plain decimal number: digits only, since a sign or a blank in such a row is somebody's mistake.
fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Policy, Refusal};

    #[rstest]
    #[case::all_new_calls(100, "INVITE", "maintenance on: 503 Maintenance")]
    #[case::some(30, "INVITE", "maintenance on: 503 Maintenance, 30 % of new calls")]
    #[case::others_too(100, "INVITE,OPTIONS", "maintenance on: 503 Maintenance, methods INVITE,OPTIONS")]
    #[case::both(1, "OPTIONS", "maintenance on: 503 Maintenance, 1 % of new calls, methods OPTIONS")]
    fn what_is_refused_is_told_if_it_is_not_the_usual(#[case] percent: u8, #[case] methods: &str, #[case] text: &str) {
        let refusal = Refusal { retry_after: 0, ..Refusal::default() };
        let methods = methods.parse().unwrap();
        let policy = Policy { maintenance: true, refusal, percent, methods, ..Policy::default() };
        assert_eq!(policy.to_string(), text);
    }

    #[rstest]
    #[case("1", Some(1))]
    #[case("30", Some(30))]
    #[case("100", Some(100))]
    #[case("0", None)]
    #[case("101", None)]
    #[case("256", None)]
    #[case("30%", None)]
    #[case("+30", None)]
    #[case("", None)]
    fn shares(#[case] text: &str, #[case] percent: Option<u8>) {
        assert_eq!(Policy::parse_percent(text).ok(), percent);
    }
}
