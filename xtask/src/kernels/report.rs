//! What came of the machines: a table of the cells by kernel, and what failed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use filter_lab::guest::plan::{Expect, Plan, Said};

use super::matrix::{Nic, Version};
use super::packages::Kernel;
use super::qemu::Outcome;
use super::verified::Verified;
use crate::workspace;

/// Where the table goes, and between which lines.
const PAGE: &str = "docs/manual/reliability.md";
const BEGIN: &str = "<!-- begin: cargo xtask kernels --record -->";
const END: &str = "<!-- end: cargo xtask kernels --record -->";

/// What has come of the machines so far.
#[derive(Default)]
pub(super) struct Report {
    kernels: BTreeMap<Version, String>,
    /// Rows in the order in which they first came: NIC, cell, and what came of it by kernel.
    rows: Vec<(Nic, String, BTreeMap<Version, &'static str>)>,
    verified: Vec<(Version, u64)>,
    fixtures: BTreeMap<Version, String>,
    failures: Vec<String>,
    passed: usize,
}

impl Report {
    /// Adds what came of one machine.
    pub(super) fn add(&mut self, kernel: &Kernel, nic: Nic, plan: &Plan, outcome: Outcome, log: &Path) {
        let version = kernel.version;
        self.kernels.insert(version, kernel.release.clone());
        let place = format!("{} on {}", nic.name(), kernel.release);
        let mut heard = Vec::new();
        for said in outcome.said {
            match said {
                Said::Cell(name, result) => {
                    let cell = plan.cells.iter().find(|cell| cell.name == name);
                    let refused = cell.is_some_and(|cell| matches!(cell.expect, Expect::Refused { .. }));
                    let mark = match &result {
                        Ok(_) if refused => "says so",
                        Ok(_) => "ok",
                        Err(_) => "FAILED",
                    };
                    self.row(nic, &name).insert(version, mark);
                    let what = format!("{place}: {name}");
                    let count = |calls: &u64| if refused { String::new() } else { format!(", {calls} calls refused") };
                    self.note(&what, result.as_ref().map(count).map_err(Clone::clone));
                    heard.push(name);
                }
                Said::Verified(count) => {
                    self.verified.push((version, count));
                    let what = format!("{place}: {count} instructions verified");
                    println!("  {what}");
                }
                Said::Fixtures(result) => {
                    self.fixtures.insert(version, result.clone().unwrap_or_else(|_| "FAILED".to_owned()));
                    self.note(&format!("{place}: fixtures"), result.map(|sum| format!(", {sum}")));
                }
                Said::Trouble(why) => self.note(&place, Err(why)),
            }
        }
        if plan.fixtures && !self.fixtures.contains_key(&version) {
            self.note(&format!("{place}: fixtures"), Err("they have not come to an end".to_owned()));
        }
        for missing in plan.cells.iter().filter(|cell| !heard.contains(&cell.name)) {
            self.row(nic, &missing.name).insert(version, "FAILED");
            self.note(&format!("{place}: {}", missing.name), Err("it has not come to an end".to_owned()));
        }
        if let Some(trouble) = outcome.trouble {
            self.note(&place, Err(format!("{trouble}; what it printed is in {}", log.display())));
        }
        println!("  {:.1} s", outcome.took.as_secs_f32());
    }

    fn row(&mut self, nic: Nic, name: &str) -> &mut BTreeMap<Version, &'static str> {
        let at = self.rows.iter().position(|(of, row, _)| *of == nic && row == name).unwrap_or_else(|| {
            self.rows.push((nic, name.to_owned(), BTreeMap::new()));
            self.rows.len() - 1
        });
        &mut self.rows[at].2
    }

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

    /// Compares the counts of instructions with the recorded ones, and says whether all is well.
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

    /// Writes down the counts and the table.
    pub(super) fn record(&self) -> Result<()> {
        Verified::record(self.verified.clone())?;
        let path = workspace::root().join(PAGE);
        let page = std::fs::read_to_string(&path).with_context(|| format!("read {PAGE}"))?;
        let marks = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) = marks.with_context(|| format!("{PAGE} has no lines {BEGIN} and {END}"))?;
        std::fs::write(&path, format!("{before}{BEGIN}\n{self}{END}{after}")).with_context(|| format!("write {PAGE}"))
    }
}

impl fmt::Display for Report {
    /// The table, in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut head, mut rule) = ("| |".to_owned(), "|---|".to_owned());
        for release in self.kernels.values() {
            write!(head, " {release} |")?;
            rule += "---|";
        }
        writeln!(f, "{head}\n{rule}")?;
        let mut line = |name: &str, cell: &dyn Fn(Version) -> String| {
            let cells: String = self.kernels.keys().map(|kernel| format!(" {} |", cell(*kernel))).collect();
            writeln!(f, "| {name} |{cells}")
        };
        line("instructions verified", &|kernel| {
            let count = self.verified.iter().find(|(of, _)| *of == kernel);
            count.map_or_else(|| "–".to_owned(), |(_, count)| count.to_string())
        })?;
        line("packet fixtures", &|kernel| match self.fixtures.get(&kernel) {
            None => "–".to_owned(),
            Some(sum) if sum == "FAILED" => sum.clone(),
            Some(_) => "ok".to_owned(),
        })?;
        for (nic, name, results) in &self.rows {
            line(&format!("{}: {name}", nic.name()), &|kernel| (*results.get(&kernel).unwrap_or(&"–")).to_owned())?;
        }
        Ok(())
    }
}
