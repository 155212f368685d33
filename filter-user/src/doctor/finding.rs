//! What the doctor has to say: a fact, why it matters, and how to mend it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// sip-filter runs, but not as well as it could.
    Warning,
    /// sip-filter does not run here.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, as a word that stays the same: `kernel`, `queues`, `vlan` …
    pub check: &'static str,
    /// The interface, if it is about one.
    pub interface: Option<String>,
    /// What was found.
    pub fact: String,
    /// Why it matters.
    pub why: String,
    /// How to mend it. `None`: there is nothing to mend.
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: &'static str, fact: impl Into<String>, why: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, interface: None, fact: fact.into(), why: why.into(), mend: None }
    }

    /// It works, but not as well as it could.
    pub(super) fn warning(
        check: &'static str,
        fact: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, mend: Some(mend.into()), ..Self::ok(check, fact, why) }
    }

    /// It does not work.
    pub(super) fn failure(
        check: &'static str,
        fact: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { level: Level::Failure, ..Self::warning(check, fact, why, mend) }
    }

    /// The same, about an interface.
    pub(super) fn on(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }
}
