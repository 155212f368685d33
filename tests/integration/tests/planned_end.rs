//! The planned end of maintenance: what callers are told before it, and that it comes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use filter_lab::lab::Lab;
use filter_lab::wire::Family;

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs())
}

#[test]
fn maintenance_ends_by_itself_and_nobody_is_told_to_come_back_later() -> Result<()> {
    let lab = Lab::new()?;
    let _daemon = lab.start("native")?;
    let caller = lab.caller(Family::V4)?;
    lab.filter.done(&["on", "--retry-after", "600"])?;
    let end = now()? + 6;
    lab.filter.sqlite(&format!("INSERT INTO htable_config (key_name, key_value) VALUES ('maint_until', '{end}')"))?;
    filter_lab::wait::until("a Retry-After that ends in time", Duration::from_secs(3), || {
        let (_, refusal) = lab.is_refused(&caller)?;
        let seconds: u64 = refusal.require("Retry-After")?.parse().context("Retry-After")?;
        Ok(now()? + seconds <= end)
    })?;
    lab.until_calls_are(false, &caller, Duration::from_secs(10))?;
    assert!(now()? >= end, "it ended {} s too soon", end - now()?);
    Ok(())
}
