//! The results of all machines: tables of the cells and of the scenarios by kernel, and a list of the failures.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::time::Duration;

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
    /// Results of the cells.
    cells: Rows,
    /// Results of the scenarios.
    scenarios: Rows,
    /// Instructions that the verifier processed.
    verified: Vec<(KernelVersion, u64)>,
    /// Summaries of the fixtures, or [`FAILED`].
    fixtures: BTreeMap<KernelVersion, String>,
    failures: Vec<String>,
    passed: usize,
}

/// The rows of a table, in the order of their first result.
#[derive(Default)]
struct Rows(Vec<Row>);

/// A row of a table.
struct Row {
    nic: Nic,
    name: String,
    results: BTreeMap<KernelVersion, &'static str>,
}

impl Rows {
    /// Enters a result.
    fn set(&mut self, nic: Nic, name: &str, version: KernelVersion, result: &'static str) {
        if let Some(row) = self.0.iter_mut().find(|row| row.nic == nic && row.name == name) {
            row.results.insert(version, result);
        } else {
            self.0.push(Row { nic, name: name.to_owned(), results: BTreeMap::from([(version, result)]) });
        }
    }

    /// Writes the rows as lines of `table`.
    fn write(&self, table: &mut Table<'_, '_>) -> fmt::Result {
        self.0.iter().try_for_each(|row| {
            let result = |kernel| (*row.results.get(&kernel).unwrap_or(&NONE)).to_owned();
            table.line(&format!("{}: {}", row.nic.name(), row.name), result)
        })
    }
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
                GuestReport::Scenario(name, result) => {
                    let mark = if result.is_ok() { "ok" } else { FAILED };
                    self.scenarios.set(nic, &name, version, mark);
                    let took = |took: Duration| format!(", {:.1} s", took.as_secs_f32());
                    self.note(&format!("{place}: {name}"), result.map(took));
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
            self.cells.set(nic, &missing.name, version, FAILED);
            self.note(&format!("{place}: {}", missing.name), Err("not finished".to_owned()));
        }
        for missing in plan.scenarios.iter().filter(|name| !reported.contains(name)) {
            self.scenarios.set(nic, missing, version, FAILED);
            self.note(&format!("{place}: {missing}"), Err("not finished".to_owned()));
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
        self.cells.set(nic, name, kernel.version, mark);
        let count = |calls| if rejects { String::new() } else { format!(", {calls} calls refused") };
        self.note(&format!("{}: {name}", place(kernel, nic)), result.map(count));
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

    /// Returns whether no machine was booted.
    pub(super) fn is_empty(&self) -> bool {
        self.kernels.is_empty()
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
    /// Writes the tables in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernels: Vec<(KernelVersion, &str)> =
            self.kernels.iter().map(|(version, release)| (*version, release.as_str())).collect();
        if !(self.cells.0.is_empty() && self.verified.is_empty()) {
            let mut table = Table::begin(f, &kernels)?;
            table.line("instructions verified", |kernel| {
                let count = self.verified.iter().find(|(version, _)| *version == kernel);
                count.map_or_else(|| NONE.to_owned(), |(_, count)| count.to_string())
            })?;
            table.line("packet fixtures", |kernel| match self.fixtures.get(&kernel) {
                None => NONE.to_owned(),
                Some(summary) if summary == FAILED => FAILED.to_owned(),
                Some(_) => "ok".to_owned(),
            })?;
            self.cells.write(&mut table)?;
        }
        if !self.scenarios.0.is_empty() {
            writeln!(f)?;
            let has_result =
                |kernel: KernelVersion| self.scenarios.0.iter().any(|row| row.results.contains_key(&kernel));
            let kernels: Vec<_> = kernels.into_iter().filter(|(version, _)| has_result(*version)).collect();
            let mut table = Table::begin(f, &kernels)?;
            self.scenarios.write(&mut table)?;
        }
        Ok(())
    }
}

/// A table in Markdown with a column for each kernel.
struct Table<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    kernels: Vec<KernelVersion>,
}

impl<'a, 'f> Table<'a, 'f> {
    /// Writes the head of the table.
    fn begin(f: &'a mut fmt::Formatter<'f>, kernels: &[(KernelVersion, &str)]) -> Result<Self, fmt::Error> {
        let (mut head, mut rule) = ("| |".to_owned(), "|---|".to_owned());
        for (_, release) in kernels {
            write!(head, " {release} |")?;
            rule.push_str("---|");
        }
        writeln!(f, "{head}\n{rule}")?;
        Ok(Self { f, kernels: kernels.iter().map(|(version, _)| *version).collect() })
    }

    /// Writes a line with the text of each kernel.
    fn line(&mut self, name: &str, text: impl Fn(KernelVersion) -> String) -> fmt::Result {
        write!(self.f, "| {name} |")?;
        for kernel in &self.kernels {
            write!(self.f, " {} |", text(*kernel))?;
        }
        writeln!(self.f)
    }
}
