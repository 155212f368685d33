//! What the database says is to be done: the policy that the daemon keeps in force.

mod emergency;
mod methods;
mod refusal;

use std::collections::BTreeSet;
use std::fmt;

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
    pub percent: u8,
    /// Row `maint_methods`: which requests are refused.
    pub methods: Methods,
    /// Table `sip_filter_bypass`: where calls come from that are never refused.
    pub bypass: BTreeSet<Prefix>,
    /// Table `sip_filter_emergency`: whom to call is an emergency, and never refused.
    pub emergency: BTreeSet<EmergencyUser>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            maintenance: false,
            refusal: Refusal::default(),
            percent: 100,
            methods: Methods::default(),
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
        if self.percent != 100 {
            write!(f, ", {} % of new calls", self.percent)?;
        }
        if self.methods != Methods::default() {
            write!(f, ", methods {}", self.methods)?;
        }
        Ok(())
    }
}

impl Policy {
    /// Reads a share, in percent.
    pub fn parse_percent(text: &str) -> Result<u8, InvalidPercent> {
        let percent = decimal(text).and_then(|percent| u8::try_from(percent).ok());
        percent.filter(|percent| (1..=100).contains(percent)).ok_or(InvalidPercent)
    }
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

    use super::Policy;

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
