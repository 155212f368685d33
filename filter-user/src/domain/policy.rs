//! The policy: how a host treats new calls.

use std::collections::BTreeSet;
use std::fmt;

use filter_reply::parse_decimal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EmergencyUser, Methods, Percent, Prefix, Refusal, Scope, display_utc};

/// A policy, as the policy table and the tables of the lists state it.
///
/// The default is the policy of a database without any of our rows: maintenance off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// True while new calls are refused; row `maint`.
    pub maintenance: bool,
    /// Response to a refused call.
    pub refusal: Refusal,
    /// Share of new calls that is refused; row `maint_percent`.
    #[serde(default)]
    pub percent: Percent,
    /// Requests that are refused; row `maint_methods`.
    #[serde(default)]
    pub methods: Methods,
    /// Planned end of maintenance; row `maint_until`.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Prefixes from which calls are never refused; table `sip_filter_bypass`.
    #[serde(default)]
    pub bypass: BTreeSet<Prefix>,
    /// User parts to which calls are never refused; table `sip_filter_emergency`.
    #[serde(default = "EmergencyUser::defaults")]
    pub emergency: BTreeSet<EmergencyUser>,
    /// New calls that maintenance is about; `None` for all.
    #[serde(default)]
    pub scope: Option<Scope>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            maintenance: false,
            refusal: Refusal::default(),
            percent: Percent::default(),
            methods: Methods::default(),
            until: None,
            bypass: BTreeSet::new(),
            emergency: EmergencyUser::defaults(),
            scope: None,
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
        if !retry_after.is_none() {
            write!(f, ", Retry-After {retry_after} s")?;
        }
        self.limits().map_or(Ok(()), |limits| write!(f, ", {limits}"))
    }
}

impl Policy {
    /// Returns the limits of maintenance, for people: share, methods, scope and planned end, as far as they differ from
    /// "every new call, without a planned end".
    pub fn limits(&self) -> Option<String> {
        let percent = (self.percent != Percent::ALL).then(|| format!("{} % of new calls", self.percent));
        let methods = (self.methods != Methods::default()).then(|| format!("methods {}", self.methods));
        let scope = self.scope.as_ref().map(|scope| format!("scope: {scope}"));
        let until = self.until.map(|until| format!("until {}", display_utc(until)));
        let parts: Vec<String> = percent.into_iter().chain(methods).chain(until).chain(scope).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Ends maintenance if its planned end is not after `now`. Returns whether it did.
    pub fn end_as_planned(&mut self, now: Timestamp) -> bool {
        let is_over = self.maintenance && self.until.is_some_and(|until| until <= now);
        self.maintenance &= !is_over;
        is_over
    }
}

/// Parses a planned end: Unix time in seconds, or `0` for none.
///
/// `0` is for writers that cannot delete a row.
pub fn parse_planned_end(text: &str) -> Result<Option<Timestamp>, InvalidPlannedEnd> {
    match parse_decimal::<u32>(text) {
        None => Err(InvalidPlannedEnd),
        Some(0) => Ok(None),
        Some(seconds) => {
            Timestamp::from_second(seconds.into()).map(Some).map_err(|jiff::Error { .. }| InvalidPlannedEnd)
        }
    }
}

/// The error of a text that is not a planned end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a planned end is a Unix time in seconds, or 0 for none")]
pub struct InvalidPlannedEnd;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Policy;
    use crate::domain::{Percent, Refusal, RetryAfter, Scope};

    #[rstest]
    #[case::all_new_calls(100, "INVITE", "maintenance on: 503 Maintenance")]
    #[case::some(30, "INVITE", "maintenance on: 503 Maintenance, 30 % of new calls")]
    #[case::others_too(100, "INVITE,OPTIONS", "maintenance on: 503 Maintenance, methods INVITE,OPTIONS")]
    #[case::both(1, "OPTIONS", "maintenance on: 503 Maintenance, 1 % of new calls, methods OPTIONS")]
    fn policy_names_share_and_methods_only_if_they_are_not_the_default(
        #[case] percent: u8,
        #[case] methods: &str,
        #[case] text: &str,
    ) {
        let refusal = Refusal { retry_after: RetryAfter::try_from(0).unwrap(), ..Refusal::default() };
        let methods = methods.parse().unwrap();
        let policy = Policy {
            maintenance: true,
            refusal,
            percent: Percent::try_from(percent).unwrap(),
            methods,
            ..Policy::default()
        };
        assert_eq!(policy.to_string(), text);
    }

    #[rstest]
    #[case::sources(&["198.18.0.0/15", "192.0.2.7", "2001:db8::/32"], &[], "scope: 3 sources")]
    #[case::source(&["198.18.0.0/15"], &[], "scope: 1 source")]
    #[case::destination(&[], &["198.18.0.2"], "scope: 1 destination")]
    #[case::both(&["0.0.0.0/0", "::/0"], &["198.18.0.2:5060"], "scope: 2 sources, 1 destination")]
    #[case::without_an_entry(&[], &[], "scope: nothing")]
    fn policy_says_how_many_entries_its_scope_has(
        #[case] sources: &[&str],
        #[case] destinations: &[&str],
        #[case] text: &str,
    ) {
        let scope = Scope {
            sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
            destinations: destinations.iter().map(|destination| destination.parse().unwrap()).collect(),
        };
        assert_eq!(scope.is_empty(), sources.is_empty() && destinations.is_empty());
        let policy = Policy { maintenance: true, scope: Some(scope), ..Policy::default() };
        assert_eq!(policy.to_string(), format!("maintenance on: 503 Maintenance, Retry-After 30 s, {text}"));
        assert_eq!(policy.limits().as_deref(), Some(text));
    }
}
