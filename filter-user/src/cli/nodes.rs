//! `sip-filter nodes`, and waiting for the hosts after a switch.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use filter_user::config::Settings;
use filter_user::control::{Client, ClientError};
use filter_user::domain::NodeName;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::database;
use super::output::{Output, pairs, printable, table, time};

/// Pause between two looks at the hosts.
const LOOK: Duration = Duration::from_millis(200);

/// A host, as an answer has it.
#[derive(Deserialize)]
struct Node {
    node: String,
    interfaces: String,
    version: String,
    state: String,
    event: i64,
    applied: Timestamp,
    heard_ms: u64,
    alive: bool,
}

pub(super) fn nodes(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let answer = ask(settings)?;
    output.print(&answer, || {
        let nodes: Vec<Node> = serde_json::from_value(answer["nodes"].clone())?;
        Ok(if nodes.is_empty() { "no hosts: no daemon has used this database yet\n".into() } else { text(&nodes) })
    })?;
    Ok(ExitCode::SUCCESS)
}

/// From the daemon if there is one, else from the database.
fn ask(settings: &Settings) -> anyhow::Result<Value> {
    match Client::connect(&settings.socket) {
        Ok(mut client) => Ok(client.call("nodes", json!({}))?),
        Err(ClientError::NoDaemon(_)) => {
            let (nodes, _) = database::work(settings, async |store| store.nodes().await)?;
            Ok(json!({"nodes": nodes}))
        }
        Err(error) => Err(error.into()),
    }
}

fn text(nodes: &[Node]) -> String {
    let head = ["NODE", "ALIVE", "HEARD", "APPLIED", "INTERFACES", "VERSION", "IN FORCE"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for node in nodes {
        rows.push(vec![
            printable(&node.node),
            if node.alive { "yes" } else { "NO" }.into(),
            format!("{} s ago", node.heard_ms / 1000),
            time(node.applied),
            printable(&node.interfaces),
            printable(&node.version),
            printable(&node.state),
        ]);
    }
    table(&rows)
}

/// Waits until each host that is alive (or just `only`) has applied the event, at most for `patience`. The names of those
/// that have not; and whether `only` is unknown or not alive, which is as good as not applied.
pub(super) fn wait(
    settings: &Settings,
    event: i64,
    only: Option<&NodeName>,
    patience: Duration,
) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + patience;
    loop {
        let nodes: Vec<Node> = serde_json::from_value(ask(settings)?["nodes"].clone())?;
        let late = late(&nodes, event, only);
        if late.is_empty() || Instant::now() >= deadline {
            return Ok(late);
        }
        sleep(LOOK);
    }
}

fn late(nodes: &[Node], event: i64, only: Option<&NodeName>) -> Vec<String> {
    match only {
        Some(name) => {
            let applied = nodes.iter().any(|node| node.node == name.as_str() && node.alive && node.event >= event);
            if applied { Vec::new() } else { vec![name.to_string()] }
        }
        None => {
            let late = nodes.iter().filter(|node| node.alive && node.event < event);
            late.map(|node| printable(&node.node)).collect()
        }
    }
}

/// What the wait has come to, for a person.
pub(super) fn waited(late: &[String]) -> String {
    let line = match late {
        [] => ("hosts".to_owned(), "all that are alive have applied it".to_owned()),
        late => ("NOT APPLIED".to_owned(), format!("by {}", late.join(", "))),
    };
    pairs(&[line])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Node;
    use super::late;

    fn node(name: &str, event: i64, alive: bool) -> Node {
        Node {
            node: name.into(),
            interfaces: "eth0".into(),
            version: "0.1.0".into(),
            state: "maintenance on".into(),
            event,
            applied: Timestamp::UNIX_EPOCH,
            heard_ms: 0,
            alive,
        }
    }

    #[test]
    fn only_hosts_that_are_alive_are_waited_for_unless_one_is_named() {
        let nodes = [node("a", 7, true), node("b", 6, true), node("c", 3, false), node("d", 8, true)];
        assert_eq!(late(&nodes, 7, None), ["b"]);
        assert_eq!(late(&nodes, 6, None), [""; 0]);
        assert_eq!(late(&nodes, 7, Some(&"a".parse().unwrap())), [""; 0]);
        assert_eq!(late(&nodes, 3, Some(&"c".parse().unwrap())), ["c"]);
        assert_eq!(late(&nodes, 3, Some(&"e".parse().unwrap())), ["e"]);
    }
}
