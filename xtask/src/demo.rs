//! `cargo xtask demo`: runs setup and build, and plays the scenario of `filter_lab::demo`.

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{build, setup};

/// Prepares the machine, builds the daemon, and runs the demo.
pub(crate) fn run() -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the demo creates network namespaces and loads an XDP program, which requires root: \
             run `sudo env PATH=\"$PATH\" HOME=\"$HOME\" cargo xtask demo`"
        );
    }
    setup::run()?;
    let binary = build::run(false)?;
    filter_lab::demo::run(&binary)
}
