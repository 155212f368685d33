//! `cargo xtask demo`: runs setup and build, and plays the scenario of `filter_lab::demo`.

use anyhow::{Error, Result, bail};
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
    // The laboratory panics with a sentence, which `run` returns: the hook would print it a second time.
    std::panic::set_hook(Box::new(|_| {}));
    filter_lab::demo::run(&binary).map_err(Error::msg)
}
