//! The figures of a run, each with its rounds, and the targets that they meet or miss.

use std::fmt;

use serde::{Serialize, Serializer};

/// What a run has found.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    targets: Vec<Target>,
}

/// One thing that was measured, once in each round.
#[derive(Clone, Serialize)]
pub(crate) struct Figure {
    subject: &'static str,
    name: String,
    unit: &'static str,
    #[serde(flatten)]
    rounds: Rounds,
}

/// What the rounds said.
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

    /// What `compare` makes of each round and the same round of `other`.
    pub(crate) fn against(&self, other: &Self, compare: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| compare(*own, *other)).collect())
    }

    /// The value that so many percent of the rounds do not exceed.
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

/// Something to be reached.
#[derive(Serialize)]
struct Target {
    name: String,
    bound: Bound,
    value: f64,
    met: bool,
}

/// Where a target's value may lie.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl Report {
    /// Takes in what the rounds of one thing said.
    pub(crate) fn figure(
        &mut self,
        subject: &'static str,
        name: impl Into<String>,
        unit: &'static str,
        rounds: Rounds,
    ) {
        self.figures.push(Figure { subject, name: name.into(), unit, rounds });
    }

    /// Takes in how a target was reached.
    pub(crate) fn target(&mut self, name: impl Into<String>, value: f64, bound: Bound) {
        self.targets.push(Target { name: name.into(), bound, value, met: bound.holds(value) });
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

/// Three or four digits that mean something.
fn rounded(value: f64) -> String {
    let digits = if value.abs() < 10.0 {
        2
    } else if value.abs() < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$}")
}
