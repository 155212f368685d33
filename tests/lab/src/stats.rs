//! The counters as `sip-filter stats --json` prints them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The one counter of the responder that does not say what became of a frame: the kernel was slow to take a reply.
const SEND_ERRORS: &str = "send_errors";

/// Counters by name, summed over all CPUs and queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    verdicts: BTreeMap<String, u64>,
    responder: BTreeMap<String, u64>,
}

impl Stats {
    /// Reads the JSON of `sip-filter stats --json`.
    pub fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).with_context(|| format!("JSON of stats: {json}"))?;
        Ok(Self { verdicts: counters(&value, "verdicts")?, responder: counters(&value, "responder")? })
    }

    /// How many packets the XDP program counted under this verdict. A name that is not there is an error.
    pub fn verdict(&self, name: &str) -> Result<u64> {
        self.verdicts.get(name).copied().with_context(|| format!("no verdict {name} in {self:?}"))
    }

    /// A counter of the responder. A name that is not there is an error.
    pub fn responder(&self, name: &str) -> Result<u64> {
        self.responder.get(name).copied().with_context(|| format!("no responder counter {name} in {self:?}"))
    }

    /// All packets that the XDP program saw.
    pub fn seen(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// All frames of which the responder has said what became of them: answered, refused for a reason, or lost.
    pub fn handled(&self) -> u64 {
        self.responder.iter().filter(|(name, _)| *name != SEND_ERRORS).map(|(_, count)| count).sum()
    }

    /// The verdicts that are not zero.
    pub fn verdicts(&self) -> BTreeMap<&str, u64> {
        self.verdicts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

fn counters(value: &Value, key: &str) -> Result<BTreeMap<String, u64>> {
    let object = value.get(key).and_then(Value::as_object).with_context(|| format!("no {key} in {value}"))?;
    let numbers = object.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
    Ok(numbers.collect())
}
