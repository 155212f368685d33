//! The corpus of SIP messages and the messages of public bug reports, each with what Kamailio did with it.

use std::path::{Path, PathBuf};

/// Returns the folder of the corpus.
///
/// The path has no `..`: an emulated machine has the corpus at the same path, and nothing else of the repository.
pub fn folder() -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
    lab.parent().unwrap_or(lab).join("corpus")
}

/// Returns the folder of the messages of public bug reports.
pub fn cases() -> PathBuf {
    folder().with_file_name("cases")
}
