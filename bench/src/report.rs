//! The figures of a run with their rounds, and the targets that are met or missed.

use std::fmt;

use serde::{Serialize, Serializer};

/// The results of a run.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    targets: Vec<Target>,
}

/// A figure that was measured once in each round.
#[derive(Clone, Serialize)]
pub(crate) struct Figure {
    subject: &'static str,
    name: String,
    unit: &'static str,
    #[serde(flatten)]
    rounds: Rounds,
}

/// The measured values of one figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle), sorted.len() % 2) {
            (None, _) => f64::NAN,
            (Some(upper), 0) => (sorted[middle - 1] + upper) / 2.0,
            (Some(middle), _) => *middle,
        }
    }

    /// Applies `combine` to each value and the value of `other` from the same measurement.
    pub(crate) fn zip_with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| combine(*own, *other)).collect())
    }

    /// Returns the smallest value that at least `percent` % of the values do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }
}

impl Serialize for Rounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Rounds", 4)?;
        fields.serialize_field("median", &self.median())?;
        fields.serialize_field("min", &self.min())?;
        fields.serialize_field("max", &self.max())?;
        fields.serialize_field("rounds", &self.0)?;
        fields.end()
    }
}

/// A target, and the value reached.
#[derive(Serialize)]
struct Target {
    name: String,
    bound: Bound,
    value: f64,
    met: bool,
}

/// The bound of a target's value.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl Report {
    /// Adds a figure.
    pub(crate) fn figure(
        &mut self,
        subject: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        rounds: Rounds,
    ) {
        self.figures.push(Figure { subject, name: name.into(), unit, rounds });
    }

    /// Adds a target and the value reached.
    pub(crate) fn target(&mut self, name: impl Into<String>, value: f64, bound: Bound) {
        self.targets.push(Target { name: name.into(), bound, value, met: bound.is_met_by(value) });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| subject | what | unit | median | min | max |\n|---|---|---|--:|--:|--:|")?;
        for Figure { subject, name, unit, rounds } in &self.figures {
            let [median, min, max] = [rounds.median(), rounds.min(), rounds.max()].map(rounded);
            writeln!(out, "| {subject} | {name} | {unit} | {median} | {min} | {max} |")?;
        }
        writeln!(out, "\n| target | bound | value | |\n|---|---|--:|---|")?;
        for Target { name, bound, value, met } in &self.targets {
            let met = if *met { "met" } else { "not met" };
            writeln!(out, "| {name} | {bound} | {} | {met} |", rounded(*value))?;
        }
        Ok(())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(out, "≤ {limit}"),
            Self::AtLeast(limit) => write!(out, "≥ {limit}"),
        }
    }
}

/// Formats a value with three or four significant digits.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}
