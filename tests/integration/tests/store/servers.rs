//! The servers of the laboratory themselves.

use anyhow::Result;
use filter_lab::database::{Kind, Server};
use rstest::rstest;

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn a_server_keeps_its_data_over_a_kill(#[case] kind: Kind) -> Result<()> {
    let mut server = Server::start(kind);
    server.sql("CREATE TABLE t (a INT)");
    server.sql("INSERT INTO t VALUES (7)");
    server.kill();
    assert!(!server.is_responding(), "it is gone");
    server.start_again();
    assert_eq!(server.sql("SELECT a FROM t"), "7");
    Ok(())
}
