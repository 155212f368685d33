//! The schema on servers: created where it is missing, and an existing table of Kamailio's used as it is.

use std::thread;

use filter_lab::database::{Kind, Server};
use filter_reply::TagSecret;
use filter_user::domain::{Action, Hosts};
use filter_user::store::{Error, IfMissing, Recovery};
use rstest::rstest;

use super::{open, rows, runtime, start, switch};

#[rstest]
#[case::mariadb(Kind::Mariadb, 5)]
#[case::postgres(Kind::Postgres, 6)]
#[tokio::test]
async fn first_open_creates_the_schema_and_the_second_changes_nothing(#[case] kind: Kind, #[case] count: usize) {
    let server = Server::start(kind);
    assert!(matches!(open(&server, "sbc1", IfMissing::Fail).await, Err(Error::NoTable { .. })));
    let (store, steps) = open(&server, "sbc1", IfMissing::Create).await.unwrap();
    assert_eq!(steps.len(), count, "{steps:?}");
    store.close().await;
    let (mut store, steps) = open(&server, "sbc1", IfMissing::Create).await.unwrap();
    assert_eq!(steps, [""; 0]);
    let reading = store.read().await.unwrap();
    assert_eq!(reading.rows, []);
    assert_eq!(reading.lists.emergency, ["112", "911", "999"]);
}

#[tokio::test]
async fn each_table_of_a_list_in_postgresql_has_the_notify_trigger() {
    let (server, _store) = start(Kind::Postgres).await;
    let tables = server.sql(
        "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
         WHERE tgname = 'sip_filter_notify' AND tgenabled <> 'D' ORDER BY relname",
    );
    let expected = [
        "htable_config",
        "sip_filter_bypass",
        "sip_filter_emergency",
        "sip_filter_scope_destination",
        "sip_filter_scope_source",
    ];
    assert_eq!(tables.lines().collect::<Vec<_>>(), expected);
}

/// Several hosts are installed at the same time.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn hosts_that_start_at_the_same_time_create_one_schema(#[case] kind: Kind) {
    let server = Server::start(kind);
    let start = |name: &'static str| {
        let server = &server;
        move || {
            runtime().block_on(async {
                let (mut store, _) = open(server, name, IfMissing::Create).await.unwrap();
                let proposed = TagSecret::from_random(&[name.as_bytes()[3]; 24]);
                let tag = store.tag(&proposed).await;
                tag.unwrap_or_else(|error| panic!("read the cluster's tag secret as {name}: {error}")).to_text()
            })
        }
    };
    let tags: Vec<_> = thread::scope(|scope| {
        let hosts = ["sbc1", "sbc2", "sbc3", "sbc4"].map(|name| scope.spawn(start(name)));
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    assert!(tags.windows(2).all(|two| two[0] == two[1]), "the hosts have different tag secrets: {tags:?}");
}

const MYSQL_ARTICLE: &str = "CREATE TABLE htable_config (id INT UNSIGNED NOT NULL PRIMARY KEY,
    key_name VARCHAR(64) NOT NULL DEFAULT '', key_type INT NOT NULL DEFAULT 0, value_type INT NOT NULL DEFAULT 0,
    key_value VARCHAR(128) NOT NULL DEFAULT '', expires INT NOT NULL DEFAULT 0) DEFAULT CHARSET = latin1";
const MYSQL_KAMAILIO: &str = "CREATE TABLE htable_config (id INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
    key_name VARCHAR(64) DEFAULT '' NOT NULL, key_type INT DEFAULT 0 NOT NULL, value_type INT DEFAULT 0 NOT NULL,
    key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INT DEFAULT 0 NOT NULL)";
const POSTGRES_ARTICLE: &str = "CREATE TABLE htable_config (id INTEGER NOT NULL PRIMARY KEY,
    key_name VARCHAR(64) NOT NULL DEFAULT '', key_type INT NOT NULL DEFAULT 0, value_type INT NOT NULL DEFAULT 0,
    key_value VARCHAR(128) NOT NULL DEFAULT '', expires INT NOT NULL DEFAULT 0); ALTER TABLE htable_config OWNER TO sip_filter";
const POSTGRES_KAMAILIO: &str = "CREATE TABLE htable_config (id SERIAL PRIMARY KEY NOT NULL,
    key_name VARCHAR(64) DEFAULT '' NOT NULL, key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL,
    key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL); ALTER TABLE htable_config OWNER TO sip_filter";
/// A table that the daemon's user may use but does not own, so that it cannot create a trigger on it.
const POSTGRES_OTHER_OWNER: &str = "CREATE TABLE htable_config (id SERIAL PRIMARY KEY NOT NULL,
    key_name VARCHAR(64) DEFAULT '' NOT NULL, key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL,
    key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL);
    GRANT SELECT, INSERT, UPDATE, DELETE ON htable_config TO sip_filter; GRANT USAGE ON SEQUENCE htable_config_id_seq TO sip_filter";

#[rstest]
#[case::mariadb_from_the_article(Kind::Mariadb, MYSQL_ARTICLE)]
#[case::mariadb_from_kamailio(Kind::Mariadb, MYSQL_KAMAILIO)]
#[case::postgres_from_the_article(Kind::Postgres, POSTGRES_ARTICLE)]
#[case::postgres_from_kamailio(Kind::Postgres, POSTGRES_KAMAILIO)]
#[case::postgres_with_another_owner(Kind::Postgres, POSTGRES_OTHER_OWNER)]
#[tokio::test]
async fn existing_htable_config_is_used_without_altering_it(#[case] kind: Kind, #[case] create: &str) {
    let server = Server::start(kind);
    server.sql(create);
    server.sql("INSERT INTO htable_config (id, key_name, key_value) VALUES (1, 'limit', '7')");
    let columns = "SELECT column_name, data_type, column_default FROM information_schema.columns
                   WHERE table_name = 'htable_config' ORDER BY ordinal_position";
    let before = server.sql(columns);

    let (mut store, _) = open(&server, "sbc1", IfMissing::Fail).await.unwrap();
    if kind == Kind::Postgres && create.contains("SERIAL") {
        // The sequence is where it would be if Kamailio had inserted the row without an id.
        server.sql("SELECT nextval('htable_config_id_seq')");
    }
    let mut on = switch(Action::On, Hosts::Cluster);
    on.code = Some(480.try_into().unwrap());
    on.reason = Some("Wartung läuft".parse().unwrap());
    store.switch(&on).await.unwrap();
    store.switch(&switch(Action::Off, Hosts::Cluster)).await.unwrap();
    assert_eq!(rows(&server), ["limit=7", "maint=0", "maint_code=480", "maint_reason=Wartung läuft"]);
    assert_eq!(store.read().await.unwrap().rows.len(), 3);
    assert_eq!(server.sql(columns), before, "columns of the table");
    if create.contains("AUTO_INCREMENT") || create.contains("SERIAL") {
        // Our rows must not have blocked the ids that the table generates.
        server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('other', '1')");
    }
}

/// The daemon was killed during a migration. MariaDB commits each of its statements at once.
#[tokio::test]
async fn interrupted_migration_is_repeated_at_the_next_start() {
    let server = Server::start(Kind::Mariadb);
    open(&server, "sbc1", IfMissing::Create).await.unwrap().0.close().await;
    let interrupt =
        "UPDATE sip_filter_migration SET success = FALSE WHERE version = 2; DROP TABLE sip_filter_emergency";
    server.sql(interrupt);
    let (mut store, steps) = open(&server, "sbc1", IfMissing::Fail).await.unwrap();
    assert_eq!(steps, ["applied migration 2, exemptions"]);
    assert_eq!(store.read().await.unwrap().lists.emergency, ["112", "911", "999"]);
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn schema_of_a_newer_version_is_rejected(#[case] kind: Kind) {
    let server = Server::start(kind);
    open(&server, "sbc1", IfMissing::Create).await.unwrap().0.close().await;
    let checksum = if kind == Kind::Mariadb { "x'00'" } else { "'\\x00'" };
    let insert = format!(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, {checksum}, 0)"
    );
    server.sql(&insert);
    let Err(error) = open(&server, "sbc1", IfMissing::Create).await else {
        panic!("opened a schema of version 9999");
    };
    assert!(error.recovery() == Recovery::GiveUp && error.to_string().contains("9999"), "{error}");
}
