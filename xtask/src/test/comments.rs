//! Checks the comments of all Rust files: their width, and the first words of doc comments.
//!
//! rustfmt can wrap comments (`wrap_comments`), but only on nightly.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Maximum width of a comment in columns, with its indentation: `max_width` in rustfmt.toml.
const MAX_WIDTH: usize = 120;

/// Openings that doc comments must not have. They make an indirect question of a sentence that should say what the item
/// does or is.
const OPENINGS: [&str; 11] =
    ["How long", "How many", "How much", "How often", "That", "The same", "What", "Where", "Whether", "Which", "Who"];

/// A comment to change.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Number of the line, from 1.
    line: usize,
    problem: Problem,
}

/// The reason to change a comment.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    /// The line has this many columns.
    TooWide(usize),
    /// The doc comment begins with one of [`OPENINGS`].
    Opening(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide(width) => write!(f, "wrap the comment at {MAX_WIDTH} columns (now {width})"),
            Self::Opening(opening) => {
                write!(f, "begin with what the item does or is (Returns …, Number of …), not with \"{opening}\"")
            }
        }
    }
}

/// Checks all Rust files below `root`. Prints each finding with file and line, and fails if there is one.
pub(super) fn check(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    collect_rust_files(root, &mut files)?;
    files.sort();
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for Finding { line, problem } in findings(&text) {
            let name = file.strip_prefix(root).unwrap_or(&file).display();
            println!("{name}:{line}: {problem}");
            count += 1;
        }
    }
    ensure!(count == 0, "{count} comments to change, listed above");
    Ok(())
}

/// Adds all Rust files below `folder` to `files`.
///
/// Skips hidden folders and cargo's target folders, which contain a `CACHEDIR.TAG`. The list does not come from git,
/// which rejects a repository that belongs to another user, and the tests run as root.
fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if folder.join("CACHEDIR.TAG").exists() {
        return Ok(());
    }
    let read = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(read)? {
        let entry = entry.with_context(read)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(read)?);
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if kind.is_dir() && !hidden {
            collect_rust_files(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the findings in the text of a Rust file.
fn findings(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut previous = None;
    for (number, line) in (1..).zip(text.lines()) {
        let doc = doc_comment(line);
        if let Some(width) = excessive_width(line) {
            findings.push(Finding { line: number, problem: Problem::TooWide(width) });
        }
        // Only the first line of a doc comment is an opening.
        if let Some((marker, text)) = doc
            && previous != Some(marker)
            && let Some(opening) = OPENINGS.into_iter().find(|opening| begins_with(text, opening))
        {
            findings.push(Finding { line: number, problem: Problem::Opening(opening) });
        }
        previous = doc.map(|(marker, _)| marker);
    }
    findings
}

/// Returns the width of `line` if it is a comment that is too wide and can be wrapped.
fn excessive_width(line: &str) -> Option<usize> {
    let comment = line.trim_start();
    let width = line.chars().count();
    if !comment.starts_with("//") || width <= MAX_WIDTH {
        return None;
    }
    let indentation = width - comment.chars().count();
    let mut words = comment.split_whitespace();
    let marker = words.next().unwrap_or_default().chars().count();
    let is_unbreakable =
        |word: &str| word.contains("://") && indentation + marker + 1 + word.chars().count() > MAX_WIDTH;
    (!words.any(is_unbreakable)).then_some(width)
}

/// Returns the marker and the text of a line of a doc comment, `None` for other lines.
fn doc_comment(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    // Four slashes are an ordinary comment.
    if line.starts_with("////") {
        return None;
    }
    ["///", "//!"].into_iter().find_map(|marker| Some((marker, line.strip_prefix(marker)?.trim())))
}

/// Returns whether the first words of `text` are `words`.
fn begins_with(text: &str, words: &str) -> bool {
    text.strip_prefix(words).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::{Finding, MAX_WIDTH, Problem, collect_rust_files, findings};
    use crate::workspace;

    /// Returns a line that consists of `start` and as many letters as `width` columns need.
    fn line(start: &str, width: usize) -> String {
        format!("{start}{}", "x".repeat(width - start.chars().count()))
    }

    #[track_caller]
    fn assert_accepted(text: &str) {
        assert_eq!(findings(text), [], "{text}");
    }

    #[track_caller]
    fn assert_too_wide(text: &str) {
        let width = text.chars().count();
        assert_eq!(findings(text), [Finding { line: 1, problem: Problem::TooWide(width) }], "{text}");
    }

    #[test]
    fn a_comment_may_be_as_wide_as_the_limit() {
        for start in ["// ", "/// ", "//! ", "    // "] {
            assert_accepted(&line(start, MAX_WIDTH));
            assert_too_wide(&line(start, MAX_WIDTH + 1));
        }
    }

    #[test]
    fn width_is_counted_in_characters() {
        assert_accepted(&line("// §ü–…", MAX_WIDTH));
        assert_too_wide(&line("// §ü–…", MAX_WIDTH + 1));
    }

    #[test]
    fn code_may_be_wider_than_a_comment() {
        assert_accepted(&line("let url = \"https://", MAX_WIDTH + 1));
        assert_accepted(&line("let x = 1; // ", MAX_WIDTH + 1));
    }

    #[test]
    fn a_url_that_does_not_fit_on_a_line_of_its_own_is_exempt() {
        assert_accepted(&line("    /// https://", MAX_WIDTH + 1));
        assert_accepted(&line("    /// [kernel]: https://", 2 * MAX_WIDTH));
        assert_too_wide(&line("    /// https://example.org/ ", MAX_WIDTH + 1));
    }

    #[test]
    fn a_url_that_fits_on_a_line_of_its_own_is_not_exempt() {
        assert_too_wide(&format!("// {} https://example.org/", "word ".repeat(20)));
    }

    #[test]
    fn a_doc_comment_that_begins_as_a_question_is_found() {
        for (text, opening) in [
            ("/// Whether the lease is valid.", "Whether"),
            ("    /// How many frames there are.", "How many"),
            ("//! What the verifier reports.", "What"),
            ("/// Who, in the end.", "Who"),
            ("///The same for IPv6.", "The same"),
        ] {
            assert_eq!(findings(text), [Finding { line: 1, problem: Problem::Opening(opening) }], "{text}");
        }
    }

    #[test]
    fn a_longer_word_is_not_an_opening() {
        for text in ["/// Whoever calls this.", "/// Thatched.", "/// Whereas.", "/// Returns whether it is valid."] {
            assert_accepted(text);
        }
    }

    #[test]
    fn only_the_first_line_of_a_doc_comment_is_an_opening() {
        assert_accepted("/// Returns the interface.\n/// Where there is none, the default.\n///\n/// What follows.");
        assert_accepted("// What an ordinary comment may begin with.\n//// Which this is too.");
    }

    #[test]
    fn findings_have_the_number_of_their_line() {
        let text =
            format!("//! A module.\n\n/// A field.\nfield: u32,\n/// That field.\n{}\n", line("// ", MAX_WIDTH + 2));
        let expected = [
            Finding { line: 5, problem: Problem::Opening("That") },
            Finding { line: 6, problem: Problem::TooWide(MAX_WIDTH + 2) },
        ];
        assert_eq!(findings(&text), expected);
    }

    #[test]
    fn an_inner_doc_comment_ends_an_outer_one() {
        let text = "//! A module.\n/// Which of them.";
        assert_eq!(findings(text), [Finding { line: 2, problem: Problem::Opening("Which") }]);
    }

    #[test]
    fn rust_files_are_found_outside_the_target_folder() {
        let mut files = Vec::new();
        collect_rust_files(workspace::root(), &mut files).expect("the workspace can be read");
        assert!(files.contains(&workspace::root().join(file!())), "this file is found");
        let target = workspace::root().join("target");
        assert!(!files.iter().any(|file| file.starts_with(&target)), "no file is of the target folder");
    }
}
