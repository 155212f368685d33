//! The recorded number of instructions that the verifier processes on each kernel, and the check against it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::matrix::KernelVersion;
use crate::workspace;

/// Maximum growth in percent.
const ALLOWED: u64 = 20;

/// The counts, ordered by kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verified(Vec<(KernelVersion, u64)>);

impl Verified {
    /// Reads the recorded counts.
    pub(super) fn recorded() -> Result<Self> {
        let file = file();
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut counts = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (kernel, count) =
                line.split_once(' ').with_context(|| format!("`{line}` is not a kernel and a count"))?;
            let count = count.trim().parse().with_context(|| format!("`{line}` has no count"))?;
            counts.push((kernel.parse()?, count));
        }
        counts.sort();
        Ok(Self(counts))
    }

    /// Checks that `count` is not far above the recorded count for `kernel`, or for the newest recorded kernel that is
    /// older.
    pub(super) fn check(&self, kernel: KernelVersion, count: u64) -> Result<()> {
        let recorded = self.0.iter().rev().find(|(version, _)| *version <= kernel);
        let (version, recorded) = recorded.with_context(|| {
            format!(
                "{count} instructions verified, and no count is recorded for Linux {kernel} or older: record it with \
                 `cargo xtask kernels --record`"
            )
        })?;
        ensure!(
            count * 100 <= recorded * (100 + ALLOWED),
            "{count} instructions verified on Linux {kernel}, more than {ALLOWED} % above the {recorded} recorded for \
             {version}: simplify the program, or record the new count with `cargo xtask kernels --record`"
        );
        Ok(())
    }

    /// Replaces the recorded counts.
    pub(super) fn record(mut counts: Vec<(KernelVersion, u64)>) -> Result<()> {
        counts.sort();
        let mut text = String::from(
            "# Instructions that the verifier processed, by kernel. Written by `cargo xtask kernels --record`.\n",
        );
        for (kernel, count) in counts {
            writeln!(text, "{kernel} {count}").context("cannot format the counts")?;
        }
        fs::write(file(), text).with_context(|| format!("cannot write {}", file().display()))
    }
}

fn file() -> PathBuf {
    workspace::root().join("xtask/src/kernels/verified.txt")
}

#[cfg(test)]
mod tests {
    use super::{KernelVersion, Verified};

    #[test]
    fn a_count_may_exceed_the_recorded_one_by_a_fifth() {
        let recorded = Verified::parse("# comment\n6.12 1000\n6.1 500\n").expect("counts of two kernels");
        recorded.check(KernelVersion(6, 1), 600).expect("20 % more than recorded");
        assert!(recorded.check(KernelVersion(6, 1), 601).is_err());
        recorded.check(KernelVersion(6, 12), 1200).expect("20 % more than recorded");
        recorded.check(KernelVersion(7, 9), 1200).expect("20 % more than recorded for the newest kernel");
        assert!(recorded.check(KernelVersion(7, 9), 1201).is_err(), "compared with the newest recorded kernel");
        assert!(recorded.check(KernelVersion(5, 10), 1).is_err(), "no older kernel is recorded");
    }
}
