//! The demonstration
use std::path::Path;
/// Runs it.
pub fn run(sip_filter: &Path) -> anyhow::Result<()> {
    let _ = sip_filter;
    Ok(())
}
