//! What the fuzz targets share; `cargo xtask fuzz` builds and runs them.

pub mod guard;
pub mod input;
pub mod lines;
