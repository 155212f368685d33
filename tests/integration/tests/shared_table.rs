//! One table, two readers: Kamailio reads what we write, and we read what Kamailio writes, in each of the three databases.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use filter_lab::database::{Kind, Network, Server};
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use rstest::rstest;
use serde_json::json;

/// By when a change has to be in force on a busy test machine.
const IN_FORCE: Duration = Duration::from_secs(10);

/// The database, with what runs SQL in it as its administrator would.
enum Database {
    Sqlite,
    Server(Server),
}

impl Database {
    /// Where both reach it: Kamailio's database modules find servers only by an address.
    fn start(kind: Option<Kind>, lab: Lab) -> Result<(Self, Lab)> {
        let Some(kind) = kind else { return Ok((Self::Sqlite, lab)) };
        let address = SocketAddr::from(([127, 0, 0, 1], if kind == Kind::Mariadb { 3306 } else { 5432 }));
        let server = Server::on(kind, Network { namespace: lab.inside.clone(), address, tls: false })?;
        let lab = lab.on_database(server.network_url()?)?;
        Ok((Self::Server(server), lab))
    }

    fn url(&self, lab: &Lab) -> Result<String> {
        match self {
            Self::Sqlite => Ok(format!("sqlite://{}", lab.filter.database().display())),
            Self::Server(server) => server.network_url(),
        }
    }

    fn sql(&self, lab: &Lab, statement: &str) -> Result<String> {
        match self {
            Self::Sqlite => lab.filter.sqlite(statement),
            Self::Server(server) => server.sql(statement),
        }
    }

    /// Kamailio asks for the version of each table that it reads (srdb1), as its own create scripts write it.
    fn make_versions(&self, lab: &Lab) -> Result<()> {
        self.sql(
            lab,
            "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL)",
        )?;
        self.sql(lab, "INSERT INTO version VALUES ('htable_config', 2)")?;
        if let Self::Server(server) = self
            && server.kind() == Kind::Postgres
        {
            self.sql(lab, "ALTER TABLE version OWNER TO sip_filter")?;
        }
        Ok(())
    }
}

#[rstest]
#[case::sqlite(None)]
#[case::mariadb(Some(Kind::Mariadb))]
#[case::postgres(Some(Kind::Postgres))]
fn kamailio_reads_what_we_write_and_we_read_what_kamailio_writes(#[case] kind: Option<Kind>) -> Result<()> {
    let (database, lab) = Database::start(kind, Lab::without_server()?)?;
    lab.filter.done(&["migrate"])?;
    database.make_versions(&lab)?;
    // Written by us before Kamailio starts, and then while it runs.
    lab.filter.done(&["on", "--code", "480"])?;
    // dbmode=1: it writes what it has in memory when it stops.
    let options = Options { htable_db_url: Some(database.url(&lab)?), dbmode: 1, ..Options::default() };
    let mut kamailio = Kamailio::new(&lab.inside, lab.proxy(Family::V4), &options)?;
    kamailio.start()?;
    assert_eq!(kamailio.flag()?, Some(json!("1")));
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE])?;
    lab.filter.done(&["off"])?;
    kamailio.reload()?;
    assert_eq!(kamailio.flag()?, Some(json!("0")));

    // Kamailio's script or its operator sets the flag, as an integer; then it stops, and writes all its rows anew.
    kamailio.rpc("htable.seti", &json!(["config", "maint", 1]))?;
    kamailio.stop()?;
    wait::until("maintenance to be on, as Kamailio has written it", IN_FORCE, || {
        Ok(lab.filter.status()?["policy"]["maintenance"] == true)
    })?;
    let status = lab.filter.status()?;
    assert_eq!(status["policy"]["refusal"]["code"], 480, "the other rows are there again: {status}");
    assert_eq!(status["since"]["who"], json!(null));
    let caller = lab.caller(Family::V4)?;
    caller.expect(&caller.invite(), 480)?;
    // Seen from outside, and told to those who ask later.
    wait::until("an event of it", IN_FORCE, || Ok(lab.filter.done(&["history"])?.contains("outside")))?;
    Ok(())
}
