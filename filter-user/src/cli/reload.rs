//! `sip-filter reload`.

use std::process::ExitCode;

use filter_user::config::Settings;
use filter_user::control::Client;
use serde_json::json;

use super::output::{InForce, Output, pairs};

pub(super) fn reload(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let answer = Client::connect(&settings.socket)?.call("reload", json!({}))?;
    let in_force: InForce = serde_json::from_value(answer.clone())?;
    output.print(&answer, || Ok(pairs(&in_force.lines())))?;
    Ok(ExitCode::SUCCESS)
}
