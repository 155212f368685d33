//! Code shared by the fuzz targets in `targets`, which `cargo xtask fuzz` builds and runs.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is a finding, and libFuzzer keeps its input"
)]

pub mod guard;
pub mod head;
pub mod input;
