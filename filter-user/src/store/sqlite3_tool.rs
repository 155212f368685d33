//! The `sqlite3` tool, with which tests read and change a database from outside.

use std::path::Path;
use std::process::Command;

/// Options that give `sqlite3` a busy timeout: a connection that is dropped closes in its own thread, and the last one
/// locks the file for a moment.
const BUSY_TIMEOUT: [&str; 2] = ["-cmd", ".timeout 10000"];

/// Runs `statement` on the file at `path`. Returns the output, with `|` between columns.
#[track_caller]
pub(crate) fn sqlite3(path: &Path, statement: &str) -> String {
    let output = Command::new("sqlite3").args(BUSY_TIMEOUT).arg(path).arg(statement).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
