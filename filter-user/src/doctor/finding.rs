//! Findings: a fact, why it matters, and how to fix it.

use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// sip-filter works, but not as well as it could.
    Warning,
    /// sip-filter cannot run.
    Failure,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Severity.
    pub level: Level,
    /// Name of the check, which does not change between versions: `kernel`, `queues`, `vlan` …
    pub check: &'static str,
    /// Interface, if the check is about one.
    pub interface: Option<String>,
    /// Fact that was found.
    pub fact: String,
    /// Reason why it matters.
    pub why: String,
    /// Way to fix it; `None` if all is well.
    pub fix: Option<String>,
}

impl Finding {
    /// Creates a finding that all is well.
    pub(super) fn ok(check: &'static str, fact: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, interface: None, fact: fact.into(), why: why.into(), fix: None }
    }

    /// Creates a finding that sip-filter works, but not as well as it could.
    pub(super) fn warning(
        check: &'static str,
        fact: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, fix: Some(fix.into()), ..Self::ok(check, fact, why) }
    }

    /// Creates a finding that sip-filter cannot run.
    pub(super) fn failure(
        check: &'static str,
        fact: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { level: Level::Failure, ..Self::warning(check, fact, why, fix) }
    }

    /// Returns the finding as one about an interface.
    pub(super) fn about(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }
}
