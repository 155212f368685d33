//! `cargo xtask demo`: set up, build, and play the scenario of `filter_lab::demo`.

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{build, setup};

/// From a bare machine to a call that is refused before one's eyes.
pub(crate) fn run() -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the demo makes network namespaces and loads an XDP program, which takes root: \
             run `sudo env PATH=\"$PATH\" HOME=\"$HOME\" cargo xtask demo`"
        );
    }
    setup::run()?;
    let binary = build::run(false)?;
    filter_lab::demo::run(&binary)
}
