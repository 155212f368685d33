//! The reason why the kernel rejected the program, in one line instead of the verifier's whole log.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use aya::EbpfError;
use aya::programs::ProgramError;
use thiserror::Error;

/// The reason why the program could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The verifier rejected the program.
    #[error("{source}; the verifier: {objection}")]
    Rejected {
        /// Last lines of the verifier's log.
        objection: String,
        /// Error of `bpf(2)`.
        source: io::Error,
    },
    /// Anything else failed.
    // Only the first line: `ProgramError::LoadError` ends with the verifier's log.
    #[error("{}", with_causes(.0).lines().next().unwrap_or_default())]
    Ebpf(#[source] Box<EbpfError>),
    /// The object file has no program of this name.
    #[error("the object has no XDP program {0}")]
    NoProgram(&'static str),
}

/// Hint that names the privileges for loading.
const PRIVILEGES: &str = "; run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";

/// Number of lines of the verifier's log to show: the instruction, the objection to it, and one line of what led there.
const OBJECTION_LINES: usize = 3;

impl LoadError {
    /// Returns the reason for `error`, and a hint for the message; an empty one if there is nothing to suggest.
    pub(super) fn explain(error: EbpfError) -> (Self, &'static str) {
        match error {
            EbpfError::ProgramError(ProgramError::LoadError { io_error, verifier_log }) => {
                let log = verifier_log.to_string();
                tracing::debug!("the verifier's log:\n{log}");
                // Both a rejected program and a missing capability are EACCES; only the former leaves a log.
                match objection(&log) {
                    // A missing CAP_PERFMON is an objection to pointer arithmetic (`sanitize_ptr_alu()` in the
                    // verifier).
                    Some(objection) => {
                        let hint = if log.contains("prohibited for !root") { PRIVILEGES } else { "" };
                        (Self::Rejected { objection, source: io_error }, hint)
                    }
                    None => Self::other(ProgramError::LoadError { io_error, verifier_log }.into()),
                }
            }
            error => Self::other(error),
        }
    }

    fn other(error: EbpfError) -> (Self, &'static str) {
        let hint = if is_permission_denied(&error) { PRIVILEGES } else { "" };
        (Self::Ebpf(Box::new(error)), hint)
    }
}

/// Returns whether a system call failed because a privilege is missing: EPERM or EACCES.
fn is_permission_denied(error: &(dyn StdError + 'static)) -> bool {
    let causes = successors(Some(error), |&error| error.source());
    let mut errors = causes.filter_map(|error| error.downcast_ref::<io::Error>());
    errors.any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Returns the verifier's objection: the last lines of its log before the statistics, where the program is rejected.
fn objection(log: &str) -> Option<String> {
    const STATISTICS: [&str; 3] = ["verification time", "stack depth", "processed "];
    let is_statistics = |line: &str| STATISTICS.iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty() && !is_statistics(line)).collect();
    let last = lines.get(lines.len().saturating_sub(OBJECTION_LINES)..)?;
    (!last.is_empty()).then(|| last.join(" | "))
}

/// Returns the text of an error with those of its causes, each once.
pub(super) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |&error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use aya::EbpfError;
    use aya::maps::MapError;
    use rstest::rstest;

    use super::{LoadError, PRIVILEGES, objection};

    #[rstest]
    #[case::not_permitted(libc::EPERM, PRIVILEGES)]
    #[case::access_denied(libc::EACCES, PRIVILEGES)]
    #[case::out_of_memory(libc::ENOMEM, "")]
    fn map_that_the_kernel_rejects_is_named_with_the_privileges_only_if_they_would_help(
        #[case] errno: i32,
        #[case] expected: &str,
    ) {
        let io_error = io::Error::from_raw_os_error(errno);
        let text = io_error.to_string();
        let error = EbpfError::MapError(MapError::CreateError { name: "PASSED".into(), io_error });
        let (error, hint) = LoadError::explain(error);
        assert_eq!(hint, expected);
        assert_eq!(error.to_string(), format!("map error: failed to create map `PASSED`: {text}"));
    }

    #[test]
    fn objection_of_the_verifier_is_the_end_of_its_log_without_the_statistics() {
        let log = "0: R1=ctx()\n1: (79) r2 = *(u64 *)(r1 +0)\n2: (07) r2 += r3\n\
                   R2 pointer arithmetic prohibited for !root\n\nverification time 41 usec\nstack depth 0\n\
                   processed 3 insns (limit 1000000)\n";
        let expected = "1: (79) r2 = *(u64 *)(r1 +0) | 2: (07) r2 += r3 | R2 pointer arithmetic prohibited for !root";
        assert_eq!(objection(log).as_deref(), Some(expected));
        assert_eq!(objection("processed 0 insns\n"), None);
    }
}
