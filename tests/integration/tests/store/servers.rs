//! The database servers of the laboratory.

use filter_lab::database::Kind;
use rstest::rstest;

use super::{sql, start_server};

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn database_server_of_the_laboratory_keeps_its_data_when_killed(#[case] kind: Kind) {
    let mut server = start_server(kind);
    sql(&server, "CREATE TABLE t (a INT)");
    sql(&server, "INSERT INTO t VALUES (7)");
    server.kill().unwrap();
    assert!(server.sql("SELECT 1").is_err(), "a killed server answers");
    server.begin().unwrap();
    assert_eq!(sql(&server, "SELECT a FROM t"), "7");
}
