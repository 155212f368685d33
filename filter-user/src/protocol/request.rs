//! The parameters of the methods, which are also options of the commands.

#![expect(clippy::doc_markdown, reason = "clap shows the doc comments of options as help texts, which are plain text")]

use clap::Args;
use filter_reply::number;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{
    Action, EntryList, Hosts, InvalidHosts, Methods, NodeName, Origin, Percent, ReasonPhrase, RetryAfter, StatusCode,
    Switch, Why,
};

/// Parameters of `on`. A value that is not given keeps its row as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// Status code of the response, 400 to 699 [default: row maint_code, else 503]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<StatusCode>,

    /// Reason phrase of the response, at most 128 bytes [default: row maint_reason, else Maintenance]
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonPhrase>,

    /// Retry-After of the response in seconds, 0 (none) to 86400 [default: row maint_retry_after, else 30]
    #[arg(long, value_name = "S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,

    /// Share of new calls to refuse, in percent, 1 to 100 [default: row maint_percent, else 100]
    ///
    /// The other new calls pass to the proxy. A retransmission is treated like the first request. The share applies to
    /// INVITE only: of the other methods in --methods, all requests are refused.
    #[arg(long, value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,

    /// Requests to refuse, separated by commas [default: row maint_methods, else INVITE]
    ///
    /// INVITE (new calls), REGISTER, SUBSCRIBE, MESSAGE, PUBLISH and OPTIONS. Refusing OPTIONS makes upstreams that
    /// probe the host mark it as down. A list without INVITE lets new calls pass. CANCEL, ACK, BYE, PRACK, UPDATE,
    /// INFO, NOTIFY and REFER are never refused: they belong to established calls, or to calls that are being set up.
    #[arg(long, value_name = "M,M…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Methods>,

    /// Planned end of maintenance on all hosts. The command line has `--for` and `--until` for it.
    #[arg(skip)]
    #[serde(default, deserialize_with = "in_the_future", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,

    /// Hosts to switch.
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetHosts,

    /// Reason for the switch.
    #[command(flatten)]
    #[serde(flatten)]
    pub remark: Remark,
}

/// Parameters of `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Off {
    /// Hosts to switch.
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetHosts,

    /// Reason for the switch.
    #[command(flatten)]
    #[serde(flatten)]
    pub remark: Remark,
}

/// The hosts that a switch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct TargetHosts {
    /// Switch the host NAME alone, whatever is switched for all hosts [row maint@NAME, which wins over maint]
    ///
    /// The host keeps this state until it is switched again with --node, or all hosts are switched with --all.
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,

    /// Switch all hosts, including those that were switched with --node: removes the rows maint@NAME
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// The reason of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Remark {
    /// Reason, for the history; at most 1000 bytes
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Parameters of `bypass.add` and `bypass.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefixes {
    /// IPv4 or IPv6 prefix, or a single address: 198.18.0.0/15, 2001:db8::/32, 192.0.2.7
    #[arg(required = true, value_name = "PREFIX")]
    #[serde(deserialize_with = "at_least_one")]
    pub prefixes: Vec<String>,

    /// Reason for the change.
    #[command(flatten)]
    #[serde(flatten)]
    pub remark: Remark,
}

/// Parameters of `emergency.add` and `emergency.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// User part of the Request-URI, compared byte by byte: 911 of sip:911@example.com and of tel:911; at most 15
    /// characters
    #[arg(required = true, value_name = "USER")]
    #[serde(deserialize_with = "at_least_one")]
    pub users: Vec<String>,

    /// Reason for the change.
    #[command(flatten)]
    #[serde(flatten)]
    pub remark: Remark,
}

/// Parameters of `scope.add` and `scope.remove`: sources or destinations, not both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeEntries {
    /// IPv4 or IPv6 prefix of callers, or a single address: 198.18.0.0/15, 2001:db8::/32, 192.0.2.7; up to 8192 of each
    /// address family
    #[arg(long = "source", value_name = "PREFIX", num_args = 1.., required_unless_present = "destinations",
        conflicts_with = "destinations")]
    #[serde(default, deserialize_with = "at_least_one", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,

    /// Address to which calls come, on one UDP port or on any: 198.18.0.2:5060, 198.18.0.2, [2001:db8::2]:5060; up to
    /// 8192
    #[arg(long = "destination", value_name = "ADDRESS[:PORT]", num_args = 1..)]
    #[serde(default, deserialize_with = "at_least_one", skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,

    /// Reason for the change.
    #[command(flatten)]
    #[serde(flatten)]
    pub remark: Remark,
}

/// The error of naming neither sources nor destinations of the scope, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name sources or destinations, and not both: a change is of one of the two lists")]
pub struct InvalidScopeEntries;

/// Parameters of `history`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Maximum number of events, 1 to 1000 [default: 20]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<EventLimit>,
}

number! {
    /// A number of events. A reply is one line, which should not grow without bounds. The default is 20.
    EventLimit(u32) in 1..=1000, default 20, get;
    InvalidEventLimit: "the limit is a number of events from {least} to {most}"
}

/// Parameters of the methods that have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "serde reads a struct without brackets from null, not from {}")]
pub struct NoParams {}

impl On {
    /// Returns the requested switch.
    pub fn into_switch(self, origin: impl FnOnce(Option<Why>) -> Origin) -> Result<Switch, InvalidHosts> {
        Ok(Switch {
            until: self.until,
            code: self.code,
            reason: self.reason,
            retry_after: self.retry_after,
            percent: self.percent,
            methods: self.methods,
            ..Switch::new(Action::On, self.target.try_into()?, origin(self.remark.why))
        })
    }
}

impl Off {
    /// Returns the requested switch.
    pub fn into_switch(self, origin: impl FnOnce(Option<Why>) -> Origin) -> Result<Switch, InvalidHosts> {
        Ok(Switch::new(Action::Off, self.target.try_into()?, origin(self.remark.why)))
    }
}

impl ScopeEntries {
    /// Returns the list to change, the entries and the reason.
    pub fn into_list(self) -> Result<(EntryList, Vec<String>, Option<Why>), InvalidScopeEntries> {
        let Self { sources, destinations, remark } = self;
        match (sources.is_empty(), destinations.is_empty()) {
            (false, true) => Ok((EntryList::ScopeSource, sources, remark.why)),
            (true, false) => Ok((EntryList::ScopeDestination, destinations, remark.why)),
            (true, true) | (false, false) => Err(InvalidScopeEntries),
        }
    }
}

impl TryFrom<TargetHosts> for Hosts {
    type Error = InvalidHosts;

    fn try_from(TargetHosts { node, all }: TargetHosts) -> Result<Self, InvalidHosts> {
        match (node, all) {
            (Some(_), true) => Err(InvalidHosts),
            (Some(node), false) => Ok(Self::One(node)),
            (None, true) => Ok(Self::All),
            (None, false) => Ok(Self::Cluster),
        }
    }
}

fn in_the_future<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let until: Option<Timestamp> = Deserialize::deserialize(deserializer)?;
    match until {
        Some(until) if until <= Timestamp::now() => Err(serde::de::Error::custom("until has to be in the future")),
        until => Ok(until),
    }
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let entries: Vec<String> = Deserialize::deserialize(deserializer)?;
    if entries.is_empty() {
        Err(serde::de::Error::custom("the list is empty: name at least one entry"))
    } else {
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use filter_common::sip::UserPart;

    use super::{EventLimit, History, On, ScopeEntries, Users};
    use crate::domain::{EntryList, Methods, Percent, ReasonPhrase, RetryAfter, StatusCode, Why};
    use crate::option_help::assert_help;

    #[test]
    fn help_of_on_has_the_limits_and_the_default_of_each_value() {
        let (codes, seconds, shares) = (StatusCode::RANGE, RetryAfter::RANGE, Percent::RANGE);
        let code = format!("{} to {}", codes.start(), codes.end());
        let retry_after = format!("{} (none) to {}", seconds.start(), seconds.end());
        let percent = format!("{} to {}", shares.start(), shares.end());
        let default = |value: &dyn ToString| format!(", else {}]", value.to_string());
        assert_help::<On>("code", &[code, default(&StatusCode::default())]);
        assert_help::<On>("reason", &[format!("{} bytes", ReasonPhrase::MAX_LEN), default(&ReasonPhrase::default())]);
        assert_help::<On>("retry_after", &[retry_after, default(&RetryAfter::default())]);
        assert_help::<On>("percent", &[percent, default(&Percent::default())]);
        assert_help::<On>("methods", &[default(&Methods::default())]);
    }

    #[test]
    fn help_has_the_limits_of_reasons_entries_and_events() {
        assert_help::<On>("why", &[format!("{} bytes", Why::MAX_LEN)]);
        assert_help::<Users>("users", &[format!("{} characters", UserPart::MAX_LEN)]);
        let prefixes = format!("up to {} of each address family", EntryList::ScopeSource.max_in_force());
        assert_help::<ScopeEntries>("sources", &[prefixes]);
        assert_help::<ScopeEntries>("destinations", &[format!("up to {}", EntryList::ScopeDestination.max_in_force())]);
        let (range, default) = (EventLimit::RANGE, EventLimit::default());
        let words = [format!("{} to {}", range.start(), range.end()), format!("[default: {default}]")];
        assert_help::<History>("limit", &words);
    }
}
