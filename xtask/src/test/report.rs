//! The results of all checks and tests, and the last line of the output.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use super::results::Results;

/// Collects results and failures, so that one run shows all of them.
#[derive(Default)]
pub(super) struct Report {
    total: Results,
    failures: Vec<String>,
}

impl Report {
    /// Runs a step without tests. Only its failure counts.
    pub(super) fn check(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        println!("test: {name}");
        if let Err(why) = step() {
            self.fail(name, &why);
        }
    }

    /// Runs a step with tests, and counts them.
    pub(super) fn tests(&mut self, name: &str, step: impl FnOnce() -> Result<Results>) {
        println!("test: {name}");
        match step() {
            Ok(results) => {
                self.total.passed += results.passed;
                self.total.failed += results.failed;
                self.total.ignored += results.ignored;
                if let Some(trouble) = results.trouble {
                    self.fail(name, &trouble);
                } else if results.failed > 0 {
                    self.failures.push(format!("{name}: {} failed", results.failed));
                }
            }
            Err(why) => self.fail(name, &why),
        }
    }

    /// Prints the failures, and the sum as the last line.
    pub(super) fn finish(self) -> ExitCode {
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
        println!("{}", self.summary());
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn fail(&mut self, name: &str, why: &dyn fmt::Display) {
        self.failures.push(format!("{name}: {why:#}"));
        // Otherwise the last line would be "0 failed" after a build that failed.
        self.total.failed += 1;
    }

    fn summary(&self) -> String {
        let Results { passed, failed, ignored, .. } = &self.total;
        let skipped = if *ignored > 0 { format!(", {ignored} skipped") } else { String::new() };
        format!("{passed} passed, {failed} failed{skipped}")
    }
}
