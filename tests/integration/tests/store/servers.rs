//! The database servers of the laboratory.

use filter_lab::database::{Kind, Server};
use rstest::rstest;

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn database_server_of_the_laboratory_keeps_its_data_when_killed(#[case] kind: Kind) {
    let mut server = Server::start(kind);
    server.sql("CREATE TABLE t (a INT)");
    server.sql("INSERT INTO t VALUES (7)");
    server.kill();
    assert!(!server.is_responding(), "a killed server answers");
    server.start_again();
    assert_eq!(server.sql("SELECT a FROM t"), "7");
}
