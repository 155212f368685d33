//! The names of the attach modes on the command line.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::dataplane::Mode;

impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Native, Self::Generic]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }))
    }
}
