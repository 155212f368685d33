//! The output of the commands on standard output: JSON on one line, or aligned text.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;

use super::error::Error;

/// A name with its value, as a line of text.
pub(super) type Line = (&'static str, String);

/// The form in which a command prints.
#[derive(Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// Creates an output of JSON or of text.
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or else `text`.
    pub(super) fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Error> {
        // By way of a `Value`, which sorts the members.
        let json = || serde_json::to_value(value).map(|value| value.to_string()).map_err(Error::failed);
        let text = if self.json { json()? } else { text() };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()).map_err(Error::Print)
    }
}

/// Formats a number of things: `no things`, `1 thing`, `2 things`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        0 => format!("no {several}"),
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// Returns a text from elsewhere without control characters, so that it cannot control the terminal.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Formats lines with their values aligned.
pub(super) fn pairs(lines: &[Line]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{name:width$}  {value}");
    }
    text
}

/// Formats rows of cells. Each column is as wide as its widest cell, and columns of numbers are aligned right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let columns: Vec<Column> = (0..columns).map(|index| Column::new(rows, index)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&columns).map(|(cell, column)| column.pad(cell)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

struct Column {
    width: usize,
    is_numeric: bool,
}

impl Column {
    fn new(rows: &[Vec<String>], index: usize) -> Self {
        let cells = || rows.iter().filter_map(|row| row.get(index));
        let is_number = |cell: &String| cell.bytes().all(|byte| byte.is_ascii_digit()) || cell == "-";
        Self {
            width: cells().map(|cell| cell.chars().count()).max().unwrap_or(0),
            is_numeric: cells().skip(1).all(is_number),
        }
    }

    fn pad(&self, cell: &str) -> String {
        let width = self.width;
        if self.is_numeric { format!("{cell:>width$}") } else { format!("{cell:width$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::{pairs, table};

    #[test]
    fn table_aligns_its_columns_and_numbers_to_the_right() {
        let rows = [["NAME", "COUNT", "WHAT"], ["off", "12345", "ä"], ["redirected", "7", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME        COUNT  WHAT\noff         12345  ä\nredirected      7\n");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn pairs_align_their_values() {
        assert_eq!(pairs(&[("a", "1".into()), ("long", "2".into())]), "a     1\nlong  2\n");
    }
}
