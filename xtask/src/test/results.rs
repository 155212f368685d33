//! Counts the results in the output of `cargo test` while copying it.

use std::io::{self, BufRead as _, BufReader, Read, Write};

/// Sums over all test binaries of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// Description of a failure that is not a failed test.
    pub(super) trouble: Option<String>,
}

impl Results {
    /// Copies `output` to `copy`, line by line, and counts the results in it.
    pub(super) fn read(output: impl Read, mut copy: impl Write) -> io::Result<Self> {
        let mut results = Self::default();
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        // Bytes, because a failing test may print a SIP message that is not UTF-8.
        while output.read_until(b'\n', &mut line)? > 0 {
            copy.write_all(&line)?;
            results.count(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(results)
    }

    /// Adds the counts of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
    fn count(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Results;

    #[test]
    fn results_of_several_test_binaries_are_summed() {
        let output = "running 2 tests\n\
            test a ... ok\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.25s\n\
            noise 5 passed; 5 failed\n\
            test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let mut copy = Vec::new();
        let results = Results::read(output.as_bytes(), &mut copy).expect("bytes can be read");
        assert_eq!(copy, output.as_bytes(), "the whole output is copied");
        assert_eq!(results, Results { passed: 15, failed: 2, ignored: 1, trouble: None });
    }
}
