//! The results of all machines: a table of the cells by kernel, and a list of the failures.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;

use anyhow::{Context as _, Result, bail};
use filter_lab::guest::plan::{Expect, GuestReport, Plan};

use super::matrix::{KernelVersion, Nic};
use super::packages::Kernel;
use super::qemu::Outcome;
use super::verified::Verified;
use crate::workspace;

/// Page with the recorded table.
const PAGE: &str = "docs/manual/reliability.md";
/// Line before the table.
const BEGIN: &str = "<!-- begin: cargo xtask kernels --record -->";
/// Line after the table.
const END: &str = "<!-- end: cargo xtask kernels --record -->";

/// Entry of the table for a failure.
const FAILED: &str = "FAILED";
/// Entry of the table for a cell that is not run on a kernel.
const NONE: &str = "–";

/// The results so far.
#[derive(Default)]
pub(super) struct Report {
    /// Releases of the kernels.
    kernels: BTreeMap<KernelVersion, String>,
    /// Rows of the table, in the order of their first result.
    rows: Vec<Row>,
    /// Instructions that the verifier processed.
    verified: Vec<(KernelVersion, u64)>,
    /// Summaries of the fixtures, or [`FAILED`].
    fixtures: BTreeMap<KernelVersion, String>,
    failures: Vec<String>,
    passed: usize,
}

/// A row of the table.
struct Row {
    nic: Nic,
    cell: String,
    results: BTreeMap<KernelVersion, &'static str>,
}

impl Report {
    /// Adds the outcome of one machine, which ran `plan`.
    pub(super) fn add(&mut self, kernel: &Kernel, nic: Nic, plan: &Plan, outcome: Outcome) {
        let version = kernel.version;
        self.kernels.insert(version, kernel.release.clone());
        let place = place(kernel, nic);
        let mut reported = Vec::new();
        for report in outcome.reports {
            match report {
                GuestReport::Cell(name, result) => {
                    self.add_cell(kernel, nic, plan, &name, result);
                    reported.push(name);
                }
                GuestReport::Verified(count) => {
                    self.verified.push((version, count));
                    println!("  {place}: {count} instructions verified");
                }
                GuestReport::Fixtures(result) => {
                    self.fixtures.insert(version, result.clone().unwrap_or_else(|_| FAILED.to_owned()));
                    self.note(&format!("{place}: fixtures"), result.map(|sum| format!(", {sum}")));
                }
                GuestReport::Failed(why) => self.note(&place, Err(why)),
            }
        }
        if plan.fixtures && !self.fixtures.contains_key(&version) {
            self.note(&format!("{place}: fixtures"), Err("not finished".to_owned()));
        }
        for missing in plan.cells.iter().filter(|cell| !reported.contains(&cell.name)) {
            self.set_result(nic, &missing.name, version, FAILED);
            self.note(&format!("{place}: {}", missing.name), Err("not finished".to_owned()));
        }
        if let Some(trouble) = outcome.trouble {
            self.note(&place, Err(format!("{trouble}; its output is in {}", outcome.log.display())));
        }
        println!("  {:.1} s", outcome.took.as_secs_f32());
    }

    /// Adds the result of the cell `name`: the number of refused calls, or the reason of the failure.
    fn add_cell(&mut self, kernel: &Kernel, nic: Nic, plan: &Plan, name: &str, result: Result<u64, String>) {
        let cell = plan.cells.iter().find(|cell| cell.name == name);
        let rejects = cell.is_some_and(|cell| matches!(cell.expect, Expect::Rejects { .. }));
        let mark = match &result {
            Ok(_) if rejects => "rejected",
            Ok(_) => "ok",
            Err(_) => FAILED,
        };
        self.set_result(nic, name, kernel.version, mark);
        let count = |calls| if rejects { String::new() } else { format!(", {calls} calls refused") };
        self.note(&format!("{}: {name}", place(kernel, nic)), result.map(count));
    }

    /// Enters a result into the table.
    fn set_result(&mut self, nic: Nic, cell: &str, version: KernelVersion, result: &'static str) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.nic == nic && row.cell == cell) {
            row.results.insert(version, result);
        } else {
            self.rows.push(Row { nic, cell: cell.to_owned(), results: BTreeMap::from([(version, result)]) });
        }
    }

    /// Prints and counts a result. `Ok` holds text to print after `what`.
    fn note(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(more) => {
                println!("  ok {what}{more}");
                self.passed += 1;
            }
            Err(why) => {
                println!("  FAILED {what}: {why}");
                self.failures.push(what.to_owned());
            }
        }
    }

    /// Compares the counts of instructions with the recorded ones. Fails if any check has failed.
    pub(super) fn result(&self) -> Result<()> {
        let recorded = Verified::recorded()?;
        let grown = self.verified.iter().filter_map(|(kernel, count)| recorded.check(*kernel, *count).err());
        let failures: Vec<String> = self.failures.iter().cloned().chain(grown.map(|why| format!("{why:#}"))).collect();
        if failures.is_empty() {
            println!("kernels: {} passed, 0 failed", self.passed);
            return Ok(());
        }
        bail!("{} passed, {} failed: {}", self.passed, failures.len(), failures.join("; "))
    }

    /// Records the counts of instructions and the table.
    pub(super) fn record(&self) -> Result<()> {
        Verified::record(self.verified.clone())?;
        let path = workspace::root().join(PAGE);
        let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
        let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) = parts.with_context(|| format!("{PAGE} has no lines {BEGIN} and {END}"))?;
        fs::write(&path, format!("{before}{BEGIN}\n{self}{END}{after}")).with_context(|| format!("cannot write {PAGE}"))
    }
}

/// Returns the description of a machine for messages.
fn place(kernel: &Kernel, nic: Nic) -> String {
    format!("{} on {}", nic.name(), kernel.release)
}

impl fmt::Display for Report {
    /// Writes the table in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut head, mut rule) = ("| |".to_owned(), "|---|".to_owned());
        for release in self.kernels.values() {
            write!(head, " {release} |")?;
            rule.push_str("---|");
        }
        writeln!(f, "{head}\n{rule}")?;
        let mut line = |name: &str, cell: &dyn Fn(KernelVersion) -> String| {
            write!(f, "| {name} |")?;
            self.kernels.keys().try_for_each(|kernel| write!(f, " {} |", cell(*kernel)))?;
            writeln!(f)
        };
        line("instructions verified", &|kernel| {
            let count = self.verified.iter().find(|(version, _)| *version == kernel);
            count.map_or_else(|| NONE.to_owned(), |(_, count)| count.to_string())
        })?;
        line("packet fixtures", &|kernel| match self.fixtures.get(&kernel) {
            None => NONE.to_owned(),
            Some(summary) if summary == FAILED => FAILED.to_owned(),
            Some(_) => "ok".to_owned(),
        })?;
        for row in &self.rows {
            let result = |kernel| (*row.results.get(&kernel).unwrap_or(&NONE)).to_owned();
            line(&format!("{}: {}", row.nic.name(), row.cell), &result)?;
        }
        Ok(())
    }
}
