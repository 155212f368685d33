//! `sip-filter nodes`, and waiting for the hosts after a switch.

use std::thread::sleep;
use std::time::{Duration, Instant};

use filter_user::config::Settings;
use filter_user::domain::{Node, NodeName, display_utc};

use super::backend::Backend;
use super::error::{Error, Outcome};
use super::output::{Line, Output, printable, table};

/// Pause between two queries of the hosts.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(super) fn nodes(settings: &Settings, output: Output) -> Result<Outcome, Error> {
    let received = Backend::find(settings)?.nodes()?;
    output.print(&received.json, || text(&received.reply.nodes))?;
    Ok(Outcome::Done)
}

fn text(nodes: &[Node]) -> String {
    if nodes.is_empty() {
        return "no hosts: no daemon has used this database yet\n".into();
    }
    let head = ["NODE", "ALIVE", "HEARD", "APPLIED", "INTERFACES", "VERSION", "IN FORCE"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    rows.extend(nodes.iter().map(row));
    table(&rows)
}

fn row(node: &Node) -> Vec<String> {
    vec![
        printable(&node.node),
        if node.alive { "yes" } else { "NO" }.into(),
        format!("{} s ago", node.heard_ms / 1000),
        display_utc(node.applied).to_string(),
        printable(&node.interfaces),
        printable(&node.version),
        printable(&node.state),
    ]
}

/// Waits until every host that is alive (or `only`) has applied the event, at most for `timeout`. Returns the names of
/// the hosts that have not.
///
/// If `only` is unknown or not alive, it has not applied the event.
pub(super) fn wait(
    settings: &Settings,
    event: i64,
    only: Option<&NodeName>,
    timeout: Duration,
) -> Result<Vec<String>, Error> {
    let deadline = Instant::now() + timeout;
    loop {
        // Found again each time, so that the daemon may restart meanwhile.
        let received = Backend::find(settings)?.nodes()?;
        let late = late(&received.reply.nodes, event, only);
        if late.is_empty() || Instant::now() >= deadline {
            return Ok(late);
        }
        sleep(POLL_INTERVAL);
    }
}

fn late(nodes: &[Node], event: i64, only: Option<&NodeName>) -> Vec<String> {
    if let Some(name) = only {
        let applied = nodes.iter().any(|node| node.node == name.as_str() && node.alive && node.event >= event);
        return if applied { Vec::new() } else { vec![name.to_string()] };
    }
    let late = nodes.iter().filter(|node| node.alive && node.event < event);
    late.map(|node| printable(&node.node)).collect()
}

/// Returns the line on the hosts that have not applied a switch in time.
pub(super) fn late_line(late: &[String]) -> Line {
    match late {
        [] => ("hosts", "all that are alive have applied it".into()),
        late => ("NOT APPLIED", format!("by {}", late.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use filter_user::domain::Node;
    use jiff::Timestamp;

    use super::late;

    fn node(name: &str, event: i64, alive: bool) -> Node {
        Node {
            node: name.into(),
            interfaces: "eth0".into(),
            version: "0.1.0".into(),
            maintenance: true,
            state: "maintenance on".into(),
            event,
            applied: Timestamp::UNIX_EPOCH,
            heard_ms: 0,
            alive,
        }
    }

    #[test]
    fn wait_ignores_hosts_that_are_not_alive_unless_one_is_named() {
        let nodes = [node("a", 7, true), node("b", 6, true), node("c", 3, false), node("d", 8, true)];
        assert_eq!(late(&nodes, 7, None), ["b"]);
        assert_eq!(late(&nodes, 6, None), [""; 0]);
        assert_eq!(late(&nodes, 7, Some(&"a".parse().unwrap())), [""; 0]);
        assert_eq!(late(&nodes, 3, Some(&"c".parse().unwrap())), ["c"]);
        assert_eq!(late(&nodes, 3, Some(&"e".parse().unwrap())), ["e"]);
    }
}
