//! Stands in for the demo's scenario until that is merged.

/// Does nothing.
pub fn run(_sip_filter: &std::path::Path) -> anyhow::Result<()> {
    Ok(())
}
