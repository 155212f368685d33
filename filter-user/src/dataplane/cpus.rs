//! Lists of CPUs in the kernel's format (`/sys/devices/system/cpu/online`): `2-5,8`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use nix::sched::CpuSet;
use serde::Deserialize;
use thiserror::Error;

/// Valid numbers of a CPU: those that fit into a `cpu_set_t`.
const RANGE: RangeInclusive<usize> = 0..=CpuSet::count() - 1;

/// A list of at least one CPU, in the order given, without duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CpuList(Vec<usize>);

/// The error of a text that is not a [`CpuList`].
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidCpuList {
    /// Text that is not numbers and ranges separated by commas.
    #[error("{0:?} is not a list of CPUs: give numbers and ranges, separated by commas; for example 2-5,8")]
    Syntax(String),
    /// A number that no CPU has.
    #[error("there is no CPU {0}: CPUs have numbers from {least} to {most}", least = RANGE.start(), most = RANGE.end())]
    Number(String),
    /// A range whose end is below its start.
    #[error("{0}-{1} is not a range of CPUs: give the lower number first")]
    Backwards(usize, usize),
    /// A CPU that is listed twice.
    #[error("CPU {0} is listed twice; to share CPUs between queues, give a shorter list: it repeats")]
    Twice(usize),
}

impl CpuList {
    /// Returns the CPU of a thread by its number, from 0. If there are more threads than CPUs, the list repeats.
    #[expect(clippy::indexing_slicing, reason = "a list has at least one CPU, so the remainder is in bounds")]
    pub fn for_thread(&self, thread: usize) -> usize {
        self.0[thread % self.0.len()]
    }

    /// Returns an iterator over the CPUs.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

impl FromStr for CpuList {
    type Err = InvalidCpuList;

    fn from_str(text: &str) -> Result<Self, InvalidCpuList> {
        let mut cpus = Vec::new();
        for item in text.split(',') {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (number(first, text)?, number(last, text)?);
            if first > last {
                return Err(InvalidCpuList::Backwards(first, last));
            }
            for cpu in first..=last {
                if cpus.contains(&cpu) {
                    return Err(InvalidCpuList::Twice(cpu));
                }
                cpus.push(cpu);
            }
        }
        Ok(Self(cpus))
    }
}

/// Parses a CPU's number in the text `list`.
fn number(digits: &str, list: &str) -> Result<usize, InvalidCpuList> {
    let digits = digits.trim();
    // `parse` would accept a plus sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidCpuList::Syntax(list.to_owned()));
    }
    // A number that overflows is out of range too.
    let number = digits.parse().ok().filter(|number| RANGE.contains(number));
    number.ok_or_else(|| InvalidCpuList::Number(digits.to_owned()))
}

impl TryFrom<String> for CpuList {
    type Error = InvalidCpuList;

    fn try_from(text: String) -> Result<Self, InvalidCpuList> {
        text.parse()
    }
}

impl fmt::Display for CpuList {
    /// Writes the list in the form in which it can be parsed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&ranges(&self.0))
    }
}

/// Returns CPUs as a list, with each run of consecutive numbers as a range.
pub fn ranges(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|cpu, next| cpu + 1 == *next);
    let texts = runs.filter_map(|run| match run {
        [] => None,
        [cpu] => Some(cpu.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{CpuList, InvalidCpuList};

    #[rstest]
    #[case::one("3", &[3], "3")]
    #[case::range("0-3", &[0, 1, 2, 3], "0-3")]
    #[case::range_of_one("4-4", &[4], "4")]
    #[case::both("2-5,8", &[2, 3, 4, 5, 8], "2-5,8")]
    #[case::order_is_kept("8,2-3,0", &[8, 2, 3, 0], "8,2-3,0")]
    #[case::runs_are_joined("1,2,3", &[1, 2, 3], "1-3")]
    #[case::with_blanks_as_lscpu_has_them(" 0, 2 - 3\n", &[0, 2, 3], "0,2-3")]
    #[case::highest("1023", &[1023], "1023")]
    #[case::leading_zeros("007", &[7], "7")]
    fn cpu_list_is_parsed_and_shown_with_ranges(#[case] text: &str, #[case] cpus: &[usize], #[case] shown: &str) {
        let list: CpuList = text.parse().unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), cpus);
        assert_eq!(list.to_string(), shown);
    }

    #[rstest]
    #[case::empty("")]
    #[case::blank(" ")]
    #[case::word("all")]
    #[case::empty_item("1,,2")]
    #[case::comma_at_the_end("1,")]
    #[case::open_range("1-")]
    #[case::negative("-1")]
    #[case::two_dashes("1-2-3")]
    #[case::plus("+1")]
    #[case::hexadecimal("0x3")]
    #[case::mask("ff")]
    #[case::semicolon("1;2")]
    #[case::blank_between("1 2")]
    #[case::stride("0-7:2")]
    #[case::other_digits("\u{661}")]
    fn text_that_is_not_a_cpu_list_is_rejected_with_an_example(#[case] text: &str) {
        let expected = InvalidCpuList::Syntax(text.into());
        assert!(expected.to_string().contains("for example 2-5,8"));
        assert_eq!(text.parse::<CpuList>(), Err(expected));
    }

    #[rstest]
    #[case::too_high("1024", InvalidCpuList::Number("1024".into()))]
    #[case::end_too_high("0-4294967296", InvalidCpuList::Number("4294967296".into()))]
    #[case::too_long_for_a_number("99999999999999999999", InvalidCpuList::Number("99999999999999999999".into()))]
    #[case::backwards("5-2", InvalidCpuList::Backwards(5, 2))]
    #[case::twice("1,1", InvalidCpuList::Twice(1))]
    #[case::twice_by_a_range("2,0-3", InvalidCpuList::Twice(2))]
    fn cpu_list_with_invalid_numbers_is_rejected_with_the_number(#[case] text: &str, #[case] expected: InvalidCpuList) {
        assert_eq!(text.parse::<CpuList>(), Err(expected));
    }

    #[test]
    fn cpu_list_repeats_for_more_threads_than_cpus() {
        let list: CpuList = "4-5,9".parse().unwrap();
        assert_eq!((0..7).map(|thread| list.for_thread(thread)).collect::<Vec<_>>(), [4, 5, 9, 4, 5, 9, 4]);
    }
}
