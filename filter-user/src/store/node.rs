//! `sip_filter_node`: the hosts that share the database, and what each has applied.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::connection::{Connection, Record, Value};
use super::{Error, sql};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A host's name among those that share the database: 1 to 58 printable ASCII characters, no blank, no `@`.
///
/// The row `maint@NAME` is this host's own: with an older Kamailio a key has 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is no name of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a host: 1 to {most} printable ASCII characters, no blank, no @", most = NodeName::MAX)]
pub struct InvalidNodeName(String);

impl NodeName {
    /// The longest one.
    pub const MAX: usize = 58;

    /// The name of a host that has none.
    pub fn localhost() -> Self {
        Self("localhost".into())
    }

    /// The name, as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(name: &str) -> Result<Self, InvalidNodeName> {
        let fits =
            (1..=Self::MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        if fits { Ok(Self(name.into())) } else { Err(InvalidNodeName(name.into())) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidNodeName;

    fn try_from(name: String) -> Result<Self, InvalidNodeName> {
        name.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a daemon says of itself to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Its interfaces, separated by commas.
    pub interfaces: String,
    /// Whether it refuses new calls.
    pub maintenance: bool,
    /// What it has in force, for a person.
    pub state: String,
    /// The last event that it has seen when it put that in force.
    pub event: i64,
    /// When it put that in force.
    pub applied: Timestamp,
}

/// A host, as the table has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Its interfaces, separated by commas.
    pub interfaces: String,
    /// Version of its daemon.
    pub version: String,
    /// Whether it refuses new calls.
    pub maintenance: bool,
    /// What it has in force, for a person.
    pub state: String,
    /// The last event that it had seen when it put that in force.
    pub event: i64,
    /// When it put that in force, by its own clock.
    pub applied: Timestamp,
    /// How long ago it was heard of, by the database's clock, in milliseconds.
    pub heard_ms: i64,
    /// Whether its daemon runs: it has not stopped in good order, and was heard of within [`Node::ALIVE`].
    pub alive: bool,
}

impl Node {
    /// How often a daemon lets itself be heard of.
    pub const HEARTBEAT: Duration = Duration::from_secs(5);
    /// How long a host counts as alive after it was last heard of: three heartbeats.
    pub const ALIVE: Duration = Duration::from_secs(15);
    /// For how long a host is listed that is not heard of any more.
    const LISTED: Duration = Duration::from_secs(30 * 24 * 3600);
}

const READING: &str = "read the table sip_filter_node";
const WRITING: &str = "write the table sip_filter_node";

/// Says what this host has in force; `running` is false at the end of its daemon.
pub(super) async fn report(
    connection: &mut Connection,
    node: &NodeName,
    report: &NodeReport,
    running: bool,
) -> Result<(), Error> {
    let now = connection.dialect().now();
    let assignments = format!(
        "interfaces = ?, version = ?, maintenance = ?, state = ?, event_id = ?, applied_ms = ?, running = ?, heard_ms = {now}"
    );
    let values: [Value<'_>; 8] = [
        (&report.interfaces).into(),
        env!("CARGO_PKG_VERSION").into(),
        i64::from(report.maintenance).into(),
        (&report.state).into(),
        report.event.into(),
        report.applied.as_millisecond().into(),
        i64::from(running).into(),
        node.as_str().into(),
    ];
    let update = format!("UPDATE sip_filter_node SET {assignments} WHERE node = ?");
    if connection.execute(&update, &values).await.map_err(sql(WRITING))? > 0 {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO sip_filter_node
         (interfaces, version, maintenance, state, event_id, applied_ms, running, node, heard_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, {now})"
    );
    connection.execute(&insert, &values).await.map_err(sql(WRITING))?;
    // A host that was taken out of service is forgotten at the next one's first start.
    let old = format!("DELETE FROM sip_filter_node WHERE heard_ms < {now} - {}", Node::LISTED.as_millis());
    connection.execute(&old, &[]).await.map_err(sql(WRITING))?;
    Ok(())
}

/// The hosts, by name.
pub(super) async fn list(connection: &mut Connection) -> Result<Vec<Node>, Error> {
    let dialect = connection.dialect();
    let octets = ["node", "interfaces", "version", "state"].map(|name| dialect.octets(name)).join(", ");
    let numbers = ["maintenance", "event_id", "applied_ms", "running"].map(|name| dialect.number(name)).join(", ");
    let age = dialect.number(&format!("{} - heard_ms", dialect.now()));
    let select = format!("SELECT {octets}, {numbers}, {age} FROM sip_filter_node ORDER BY node");
    let records = connection.rows(&select, &[]).await.map_err(sql(READING))?;
    records.iter().map(node).collect::<sqlx::Result<_>>().map_err(sql(READING))
}

fn node(record: &Record) -> sqlx::Result<Node> {
    let (running, heard_ms) = (record.number_or_zero(7)? != 0, record.number_or_zero(8)?.max(0));
    Ok(Node {
        node: record.text_or_empty(0)?,
        interfaces: record.text_or_empty(1)?,
        version: record.text_or_empty(2)?,
        state: record.text_or_empty(3)?,
        maintenance: record.number_or_zero(4)? != 0,
        event: record.number_or_zero(5)?,
        applied: Timestamp::from_millisecond(record.number_or_zero(6)?).unwrap_or(Timestamp::UNIX_EPOCH),
        heard_ms,
        alive: running && u128::try_from(heard_ms).is_ok_and(|age| age < Node::ALIVE.as_millis()),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::NodeName;

    #[rstest]
    #[case::short("a", true)]
    #[case::with_domain("sbc1.example.com", true)]
    #[case::longest(&"n".repeat(58), true)]
    #[case::too_long(&"n".repeat(59), false)]
    #[case::empty("", false)]
    #[case::blank("sbc 1", false)]
    #[case::at("sbc@1", false)]
    #[case::not_ascii("sbcä", false)]
    fn names(#[case] name: &str, #[case] valid: bool) {
        assert_eq!(name.parse::<NodeName>().is_ok(), valid);
    }
}
