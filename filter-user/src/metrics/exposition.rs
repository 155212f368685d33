//! The text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
//!
//! These 80 lines take the place of the crate `prometheus-client`. Its registry has no use here, since the kernel and
//! the responders count, and the counters are read for each scrape.

use std::fmt::{Display, Write as _};

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only rises, from 0 when the daemon starts.
    Counter,
    /// A value that rises and falls.
    Gauge,
}

/// A text to which metrics are added.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// `Content-Type` of the text.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a metric. The name consists of ASCII letters, digits and `_`; the name of a counter ends in `_total`.
    ///
    /// The samples of a metric have to be contiguous, which the borrow enforces. Each metric is begun once.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.put(format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", escaped(help, &['\\', '\n'])));
        Family { exposition: self, name }
    }

    /// Returns the text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, text: impl Display) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{text}");
    }
}

/// A metric to which samples are added.
pub struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample. Its labels differ from those of the other samples.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, &['\\', '\n', '"']))).collect();
        self.exposition.put(self.name);
        if !labels.is_empty() {
            self.exposition.put(format_args!("{{{}}}", labels.join(",")));
        }
        self.exposition.put(format_args!(" {value}\n"));
    }
}

/// Returns `text` with a backslash before each of `special`, and `\n` for a line feed.
fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(if character == '\n' { 'n' } else { character });
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Exposition, Kind};

    #[test]
    fn family_has_help_type_and_samples() {
        let mut exposition = Exposition::default();
        let mut packets = exposition.family(Kind::Counter, "packets_total", "Packets.");
        packets.sample(&[("verdict", "off"), ("queue", "0")], 7);
        packets.sample(&[("verdict", "seen"), ("queue", "0")], u64::MAX);
        exposition.family(Kind::Gauge, "lease_seconds", "Lease.").sample(&[], 0.25);
        exposition.family(Kind::Gauge, "until_seconds", "None now.");
        assert_eq!(
            exposition.into_text(),
            "# HELP packets_total Packets.\n\
             # TYPE packets_total counter\n\
             packets_total{verdict=\"off\",queue=\"0\"} 7\n\
             packets_total{verdict=\"seen\",queue=\"0\"} 18446744073709551615\n\
             # HELP lease_seconds Lease.\n\
             # TYPE lease_seconds gauge\n\
             lease_seconds 0.25\n\
             # HELP until_seconds None now.\n\
             # TYPE until_seconds gauge\n"
        );
    }

    #[rstest]
    #[case::plain("eth0.7", "eth0.7")]
    #[case::quote("a\"b", "a\\\"b")]
    #[case::backslash("a\\b", "a\\\\b")]
    #[case::backslash_before_n("a\\nb", "a\\\\nb")]
    #[case::line_end("a\nb", "a\\nb")]
    #[case::all_at_the_end("\\\"\n", "\\\\\\\"\\n")]
    #[case::other_script("größe{}", "größe{}")]
    #[case::empty("", "")]
    fn label_value_cannot_leave_its_quotes(#[case] value: &str, #[case] written: &str) {
        let mut exposition = Exposition::default();
        exposition.family(Kind::Gauge, "up", "U.").sample(&[("name", value)], 1);
        assert_eq!(exposition.into_text().lines().last(), Some(format!("up{{name=\"{written}\"}} 1").as_str()));
    }

    #[test]
    fn help_stays_on_its_line() {
        let mut exposition = Exposition::default();
        exposition.family(Kind::Gauge, "up", "a \"b\" \\ c\nd");
        assert!(exposition.into_text().starts_with("# HELP up a \"b\" \\\\ c\\nd\n# TYPE"));
    }
}
