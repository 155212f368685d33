//! The counters as `sip-filter stats --json` prints them.

use std::collections::BTreeMap;

use filter_common::verdict::Verdict;
use serde_json::Value;

use crate::failure::OrFail as _;

/// The only counter of the responder that does not count frames: how often the kernel did not take a response at once.
const SEND_ERRORS: &str = "send_errors";

/// Counters by name, summed over all CPUs and queues. A counter that the output leaves out is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    verdicts: BTreeMap<String, u64>,
    responder: BTreeMap<String, u64>,
}

impl Stats {
    /// Reads the counters in the output of `sip-filter stats --json`.
    ///
    /// # Panics
    ///
    /// Panics if `output` is not that output.
    #[track_caller]
    pub fn from_json(output: &Value) -> Self {
        Self { verdicts: counters(output, "verdicts"), responder: counters(output, "responder") }
    }

    /// Returns the number of packets that the XDP program counted under `verdict`.
    pub fn verdict(&self, verdict: Verdict) -> u64 {
        self.count(verdict.name())
    }

    /// Returns the number of packets that the XDP program counted under the verdict of this name.
    pub fn count(&self, verdict: &str) -> u64 {
        self.verdicts.get(verdict).copied().unwrap_or(0)
    }

    /// Returns the number of requests that the responders answered.
    pub fn answered(&self) -> u64 {
        self.responder.get("answered").copied().unwrap_or(0)
    }

    /// Returns the number of packets that the XDP program saw.
    pub fn seen(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Returns the number of frames that the responders accounted for: answered, unanswered for a reason, or lost.
    pub fn handled(&self) -> u64 {
        self.responder.iter().filter(|(name, _)| *name != SEND_ERRORS).map(|(_, count)| count).sum()
    }

    /// Returns the verdicts that are not zero, by name.
    pub fn nonzero_verdicts(&self) -> BTreeMap<&str, u64> {
        self.verdicts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count)).collect()
    }

    /// Returns the names of the verdicts in the output, also of those that are zero.
    pub fn verdict_names(&self) -> impl Iterator<Item = &str> {
        self.verdicts.keys().map(String::as_str)
    }
}

#[track_caller]
fn counters(value: &Value, group: &str) -> BTreeMap<String, u64> {
    let object = value.get(group).and_then(Value::as_object).or_fail(format_args!("no {group} in {value}"));
    object.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}
