//! How many instructions the verifier went through on each kernel, as it was recorded, and what has become of it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::matrix::Version;
use crate::workspace;

/// What it may grow by until that is a failure, in percent.
const ALLOWED: u64 = 20;

/// The counts, by kernel, in rising order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verified(Vec<(Version, u64)>);

impl Verified {
    /// What was recorded.
    pub(super) fn recorded() -> Result<Self> {
        let file = file();
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut counts = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (kernel, count) = line.split_once(' ').with_context(|| format!("no kernel and count: {line}"))?;
            counts.push((kernel.parse()?, count.trim().parse().with_context(|| format!("no count: {line}"))?));
        }
        counts.sort();
        Ok(Self(counts))
    }

    /// Whether `count` is what may be expected of `kernel`. A kernel that is newer than all that are recorded is
    /// compared with the newest of these.
    pub(super) fn check(&self, kernel: Version, count: u64) -> Result<()> {
        let recorded = self.0.iter().rev().find(|(version, _)| *version <= kernel);
        let (of, recorded) =
            recorded.with_context(|| format!("no count is recorded for a kernel up to {kernel}, it is {count} now"))?;
        ensure!(
            count * 100 <= recorded * (100 + ALLOWED),
            "the verifier went through {count} instructions, more than {ALLOWED} % above the {recorded} recorded for {of}: \
             make the program simpler, or record the new count by `cargo xtask kernels --record`"
        );
        Ok(())
    }

    /// Writes down counts in place of what was recorded.
    pub(super) fn record(mut counts: Vec<(Version, u64)>) -> Result<()> {
        counts.sort();
        let mut text = String::from(
            "# Instructions that the verifier went through, by kernel. Written by `cargo xtask kernels --record`.\n",
        );
        for (kernel, count) in counts {
            text += &format!("{kernel} {count}\n");
        }
        std::fs::write(file(), text).with_context(|| format!("write {}", file().display()))
    }
}

fn file() -> PathBuf {
    workspace::root().join("xtask/src/kernels/verified.txt")
}

#[cfg(test)]
mod tests {
    use super::{Verified, Version};

    #[test]
    fn a_fifth_more_is_allowed_and_no_more() -> anyhow::Result<()> {
        let recorded = Verified::parse("# comment\n6.12 1000\n6.1 500\n")?;
        recorded.check(Version(6, 1), 600)?;
        assert!(recorded.check(Version(6, 1), 601).is_err());
        recorded.check(Version(6, 12), 1200)?;
        recorded.check(Version(7, 9), 1200)?;
        assert!(recorded.check(Version(7, 9), 1201).is_err(), "compared with the newest that is recorded");
        assert!(recorded.check(Version(5, 10), 1).is_err(), "nothing to compare it with");
        Ok(())
    }
}
