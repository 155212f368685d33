//! `sip-filter bypass` and `sip-filter emergency`: the exemptions.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use filter_user::config::Settings;
use filter_user::control::{self, Client, ClientError};
use filter_user::domain::{self, Change, Changed, Edit, EmergencyUser, Exemption, Prefix};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::database;
use super::output::{AlarmText, InForce, Output, counted, pairs, printable, table, time};

/// What can be done to bypass prefixes.
#[derive(Subcommand)]
pub(super) enum Bypass {
    /// List the prefixes, with who added them, when and why, and whether they are in force
    List,
    /// Add prefixes: from now on calls from there are never refused
    ///
    /// All of them or, if one is none, nothing. One that is there already stays as it is, and says so; that is no error.
    Add {
        /// IPv4 or IPv6 prefix, or an address for just that one: 198.18.0.0/15, 2001:db8::/32, 192.0.2.7
        #[arg(required = true, value_name = "PREFIX", value_parser = prefix)]
        prefixes: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Remove prefixes: calls from there are refused like others
    ///
    /// One that is not there says so; that is no error. An entry that cannot be used, for which there is an alarm, is
    /// removed by the spelling that `list` shows.
    Remove {
        /// Prefix, in any spelling of it
        #[arg(required = true, value_name = "PREFIX")]
        prefixes: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
}

/// What can be done to emergency numbers.
#[derive(Subcommand)]
pub(super) enum Emergency {
    /// List the numbers, with who added them, when and why, and whether they are in force
    List,
    /// Add numbers: from now on calls to them are never refused
    ///
    /// All of them or, if one is none, nothing. One that is there already stays as it is, and says so; that is no error.
    Add {
        /// User part of the Request-URI, to the letter: 911 of sip:911@example.com and of tel:911; at most 15 characters
        #[arg(required = true, value_name = "USER", value_parser = user)]
        users: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Remove numbers: calls to them are refused like others
    ///
    /// One that is not there says so; that is no error. Removing the last one warns.
    Remove {
        /// User part, to the letter
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
}

/// The reason of a change.
#[derive(Args)]
pub(super) struct Why {
    /// Why, for those who ask later; at most 1000 bytes
    #[arg(long, value_name = "TEXT")]
    why: Option<domain::Why>,
}

fn prefix(text: &str) -> Result<String, <Prefix as std::str::FromStr>::Err> {
    text.parse::<Prefix>().map(|prefix| prefix.to_string())
}

fn user(text: &str) -> Result<String, <EmergencyUser as std::str::FromStr>::Err> {
    text.parse::<EmergencyUser>().map(|user| user.to_string())
}

pub(super) fn bypass(settings: &Settings, command: Bypass, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Bypass::List => list(settings, Exemption::Bypass, output),
        Bypass::Add { prefixes, why } => edit(settings, Exemption::Bypass, Edit::Add, prefixes, why, output),
        Bypass::Remove { prefixes, why } => edit(settings, Exemption::Bypass, Edit::Remove, prefixes, why, output),
    }
}

pub(super) fn emergency(settings: &Settings, command: Emergency, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Emergency::List => list(settings, Exemption::Emergency, output),
        Emergency::Add { users, why } => edit(settings, Exemption::Emergency, Edit::Add, users, why, output),
        Emergency::Remove { users, why } => edit(settings, Exemption::Emergency, Edit::Remove, users, why, output),
    }
}

/// From the daemon if there is one, else from the database.
fn list(settings: &Settings, exemption: Exemption, output: Output) -> anyhow::Result<ExitCode> {
    match Client::connect(&settings.socket) {
        Ok(mut client) => {
            let answer = client.call(&format!("{}.list", exemption.name()), json!({}))?;
            output.print(&answer, || {
                let alarms: Vec<AlarmText> = serde_json::from_value(answer["alarms"].clone())?;
                let alarms: Vec<_> = alarms.iter().map(AlarmText::line).collect();
                Ok(format!("{}{}", entries(exemption, &answer)?, pairs(&alarms)))
            })?;
        }
        Err(ClientError::NoDaemon(_)) => {
            let (found, steps) = database::work(settings, async |store| store.list(exemption).await)?;
            let answer = json!({
                exemption.plural(): control::exemption::list(exemption, &found, None),
                "applied": false,
                "database": settings.database.display().to_string(),
                "schema": steps,
            });
            output.print(&answer, || {
                let mut lines = database::schema_lines(&answer);
                lines.push(database::not_applied(settings));
                Ok(format!("{}{}", entries(exemption, &answer)?, pairs(&lines)))
            })?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// An entry of an answer, for a person.
#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "user")]
    prefix: String,
    in_force: bool,
    problem: Option<String>,
    why: Option<String>,
    who: Option<String>,
    at: Option<Timestamp>,
}

fn entries(exemption: Exemption, answer: &Value) -> anyhow::Result<String> {
    let entries: Vec<Entry> = serde_json::from_value(answer[exemption.plural()].clone())?;
    if entries.is_empty() {
        return Ok(format!("{}\n", noun(exemption, 0)));
    }
    let head = [&exemption.singular().to_uppercase(), "IN FORCE", "SINCE", "BY", "WHY"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for Entry { prefix, in_force, problem, why, who, at } in entries {
        let state = match (problem, in_force) {
            (Some(_), _) => "UNUSABLE",
            (None, true) => "yes",
            (None, false) => "NO",
        };
        let or_dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| printable(&text));
        rows.push(vec![printable(&prefix), state.into(), or_dash(at.map(time)), or_dash(who), or_dash(why)]);
    }
    Ok(table(&rows))
}

/// Through the daemon if there is one, else into the database.
fn edit(
    settings: &Settings,
    exemption: Exemption,
    edit: Edit,
    entries: Vec<String>,
    Why { why }: Why,
    output: Output,
) -> anyhow::Result<ExitCode> {
    match Client::connect(&settings.socket) {
        Ok(mut client) => {
            let method = format!("{}.{}", exemption.name(), edit.name());
            let params = json!({exemption.plural(): entries, "why": why});
            let mut answer = client.call(&method, params)?;
            let in_force: InForce = serde_json::from_value(answer.clone())?;
            answer["applied"] = true.into();
            let count = exemption.of(&in_force.policy).len();
            output.print(&answer, || {
                let mut lines = outcome(edit, &answer);
                lines.push(("in force".into(), noun(exemption, count)));
                lines.extend(in_force.alarms.iter().map(AlarmText::line));
                Ok(pairs(&lines))
            })?;
            warn(exemption, edit, count);
        }
        Err(ClientError::NoDaemon(_)) => {
            let (done, answer) =
                write(settings, Change::new(exemption, edit, &entries, database::origin(settings, why))?)?;
            output.print(&answer, || {
                let mut lines = database::schema_lines(&answer);
                lines.extend(outcome(edit, &answer));
                lines.push((
                    "database".into(),
                    format!("{}, {}", settings.database.display(), noun(exemption, done.left)),
                ));
                lines.push(database::not_applied(settings));
                Ok(pairs(&lines))
            })?;
            warn(exemption, edit, done.left);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn write(settings: &Settings, change: Change) -> anyhow::Result<(Changed, Value)> {
    let (done, steps) = database::work(settings, async |store| store.change(&change).await)?;
    let mut answer = json!({
        "applied": false,
        "database": settings.database.display().to_string(),
        "schema": steps,
    });
    for (member, entries) in control::exemption::changed(change.edit, &done) {
        answer[member] = entries;
    }
    Ok((done, answer))
}

/// What became of each entry.
fn outcome(edit: Edit, answer: &Value) -> Vec<(String, String)> {
    let (changed, unchanged) = edit.outcomes();
    let already = match edit {
        Edit::Add => "was there already, and stays as it is",
        Edit::Remove => "was not there",
    };
    let of = |member: &str| answer[member].as_array().cloned().unwrap_or_default();
    let changed = of(changed).into_iter().map(|entry| (changed.to_owned(), database::text(&entry)));
    let unchanged = of(unchanged).into_iter().map(|entry| {
        let entry = database::text(&entry);
        (unchanged.to_owned(), format!("{entry} ({already})"))
    });
    changed.chain(unchanged).collect()
}

fn noun(exemption: Exemption, count: usize) -> String {
    match exemption {
        Exemption::Bypass => counted(count, "bypass prefix", "bypass prefixes"),
        Exemption::Emergency => counted(count, "emergency number", "emergency numbers"),
    }
}

/// Without numbers the emergency calls of a subscriber who dials 911 are refused like others.
fn warn(exemption: Exemption, edit: Edit, left: usize) {
    if (exemption, edit, left) == (Exemption::Emergency, Edit::Remove, 0) {
        eprintln!(
            "sip-filter: warning: no emergency number is left: while maintenance is on, calls to 911, 112 or 999 are \
             refused like any other; only urn:service:sos, Priority and Resource-Priority still mark an emergency"
        );
    }
}
