//! One table, two readers: Kamailio reads the rows of sip-filter, and sip-filter those of Kamailio, in each database.
#![cfg(test)]

use std::net::SocketAddr;
use std::time::Duration;

use filter_lab::database::{Kind, Network, Server};
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::lab::Lab;
use filter_lab::wait;
use filter_lab::wire::{Family, PROXY_INTERFACE};
use rstest::rstest;
use serde_json::json;

/// Time within which a change must be in force on a busy test machine.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A database whose administrator is the test.
enum Database {
    Sqlite,
    Server(Server),
}

impl Database {
    /// Starts the database, and returns a laboratory that uses it.
    ///
    /// A server listens on the network, since Kamailio's database modules find servers only by an address.
    #[track_caller]
    fn start(kind: Option<Kind>, lab: Lab) -> (Self, Lab) {
        let Some(kind) = kind else { return (Self::Sqlite, lab) };
        let address = SocketAddr::from(([127, 0, 0, 1], if kind == Kind::Mariadb { 3306 } else { 5432 }));
        let server = Server::start_on_network(kind, Network { namespace: lab.inside.clone(), address, tls: false });
        let lab = lab.with_database(server.network_url());
        (Self::Server(server), lab)
    }

    #[track_caller]
    fn url(&self, lab: &Lab) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", lab.filter.database().display()),
            Self::Server(server) => server.network_url(),
        }
    }

    #[track_caller]
    fn sql(&self, lab: &Lab, statement: &str) {
        match self {
            Self::Sqlite => lab.filter.sqlite(statement),
            Self::Server(server) => server.sql(statement),
        };
    }

    /// Creates the table of table versions, which Kamailio reads (srdb1), as its own create scripts do.
    #[track_caller]
    fn create_versions(&self, lab: &Lab) {
        self.sql(
            lab,
            "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL)",
        );
        self.sql(lab, "INSERT INTO version VALUES ('htable_config', 2)");
        if let Self::Server(server) = self
            && server.kind() == Kind::Postgres
        {
            self.sql(lab, "ALTER TABLE version OWNER TO sip_filter");
        }
    }
}

#[rstest]
#[case::sqlite(None)]
#[case::mariadb(Some(Kind::Mariadb))]
#[case::postgres(Some(Kind::Postgres))]
fn kamailio_and_sip_filter_read_the_rows_that_the_other_writes(#[case] kind: Option<Kind>) {
    let (database, lab) = Database::start(kind, Lab::without_server());
    lab.filter.run(&["migrate"]);
    database.create_versions(&lab);
    // sip-filter writes before Kamailio starts, and then while it runs.
    lab.filter.run(&["on", "--code", "480"]);
    // dbmode=1: Kamailio writes the rows in its memory when it stops.
    let options = Options { htable_db_url: Some(database.url(&lab)), dbmode: 1, ..Options::default() };
    let mut kamailio = Kamailio::new(&lab.inside, lab.proxy(Family::V4), &options);
    kamailio.start();
    assert_eq!(kamailio.flag(), Some(json!("1")));
    let _daemon = lab.filter.start(&["--iface", PROXY_INTERFACE]);
    lab.filter.run(&["off"]);
    kamailio.reload();
    assert_eq!(kamailio.flag(), Some(json!("0")));

    // Kamailio's script or operator sets the flag, as an integer. Then Kamailio stops, and writes all its rows again.
    kamailio.rpc("htable.seti", &json!(["config", "maint", 1]));
    kamailio.stop();
    wait::until("maintenance to be on, as Kamailio has written", TIMEOUT, || {
        lab.filter.status()["policy"]["maintenance"] == true
    });
    let status = lab.filter.status();
    assert_eq!(status["policy"]["refusal"]["code"], 480, "Kamailio has written the other rows again too: {status}");
    assert_eq!(status["since"]["who"], json!(null));
    let caller = lab.caller(Family::V4);
    caller.expect(&caller.invite(), 480);
    // The history has the change as one from outside.
    wait::until("an event of it", TIMEOUT, || {
        let history = lab.filter.json(&["history"]);
        history["events"].as_array().is_some_and(|events| events.iter().any(|event| event["via"] == "outside"))
    });
}
