//! Code shared by the fuzz targets in `targets`, which `cargo xtask fuzz` builds and runs.

pub mod guard;
pub mod head;
pub mod input;
