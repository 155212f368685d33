//! The schema on servers: made where it is missing, and an existing table of Kamailio's taken as it is.

use std::thread;

use anyhow::Result;
use filter_lab::database::{Kind, Server};
use filter_user::store::{Action, Error, Missing, Scope};
use rstest::rstest;

use super::{open, rows, switch};

#[rstest]
#[case::mariadb(Kind::Mariadb, 4)]
#[case::postgres(Kind::Postgres, 5)]
#[tokio::test]
async fn the_first_run_makes_the_schema_and_the_second_nothing(#[case] kind: Kind, #[case] count: usize) -> Result<()> {
    let server = Server::start(kind);
    assert!(matches!(open(&server, "sbc1", Missing::Refuse).await, Err(Error::NoTable { .. })));
    let (store, steps) = open(&server, "sbc1", Missing::Create).await?;
    assert_eq!(steps.len(), count, "{steps:?}");
    store.close().await;
    let (mut store, steps) = open(&server, "sbc1", Missing::Create).await?;
    assert_eq!(steps, [""; 0]);
    let reading = store.read().await?;
    assert_eq!(reading.rows, []);
    assert_eq!(reading.emergency, ["112", "911", "999"]);
    Ok(())
}

/// Several hosts that are installed at the same time.
#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
fn hosts_that_start_together_make_one_schema(#[case] kind: Kind) -> Result<()> {
    let server = Server::start(kind);
    let start = |name: &'static str| {
        let server = &server;
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (mut store, _) = open(server, name, Missing::Create).await?;
                store.tag(&filter_user::tag::generate().unwrap()).await.map(|tag| filter_user::tag::to_text(&tag))
            })
        }
    };
    let tags: Vec<_> = thread::scope(|scope| {
        let hosts = ["sbc1", "sbc2", "sbc3", "sbc4"].map(|name| scope.spawn(start(name)));
        hosts.into_iter().map(|host| host.join().unwrap()).collect::<Result<_, _>>()
    })?;
    assert!(tags.windows(2).all(|two| two[0] == two[1]), "one tag for all: {tags:?}");
    Ok(())
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
/// A table that we may use and not change: no trigger is possible.
const POSTGRES_OF_ANOTHER: &str = "CREATE TABLE htable_config (id SERIAL PRIMARY KEY NOT NULL,
    key_name VARCHAR(64) DEFAULT '' NOT NULL, key_type INTEGER DEFAULT 0 NOT NULL, value_type INTEGER DEFAULT 0 NOT NULL,
    key_value VARCHAR(128) DEFAULT '' NOT NULL, expires INTEGER DEFAULT 0 NOT NULL);
    GRANT SELECT, INSERT, UPDATE, DELETE ON htable_config TO sip_filter; GRANT USAGE ON SEQUENCE htable_config_id_seq TO sip_filter";

#[rstest]
#[case::of_the_article(Kind::Mariadb, MYSQL_ARTICLE)]
#[case::of_kamailio(Kind::Mariadb, MYSQL_KAMAILIO)]
#[case::of_the_article(Kind::Postgres, POSTGRES_ARTICLE)]
#[case::of_kamailio(Kind::Postgres, POSTGRES_KAMAILIO)]
#[case::of_another_user(Kind::Postgres, POSTGRES_OF_ANOTHER)]
#[tokio::test]
async fn a_table_of_an_older_shape_works_as_it_is(#[case] kind: Kind, #[case] create: &str) -> Result<()> {
    let server = Server::start(kind);
    server.sql(create);
    server.sql("INSERT INTO htable_config (id, key_name, key_value) VALUES (1, 'limit', '7')");
    let columns = "SELECT column_name, data_type, column_default FROM information_schema.columns
                   WHERE table_name = 'htable_config' ORDER BY ordinal_position";
    let before = server.sql(columns);

    let (mut store, _) = open(&server, "sbc1", Missing::Refuse).await?;
    if kind == Kind::Postgres && create.contains("SERIAL") {
        // As Kamailio would have it, had it written the row itself.
        server.sql("SELECT nextval('htable_config_id_seq')");
    }
    let mut on = switch(Action::On, Scope::Cluster);
    on.code = Some(480);
    on.reason = Some("Wartung läuft".into());
    store.switch(&on).await?;
    store.switch(&switch(Action::Off, Scope::Cluster)).await?;
    assert_eq!(rows(&server)?, ["limit=7", "maint=0", "maint_code=480", "maint_reason=Wartung läuft"]);
    assert_eq!(store.read().await?.rows.len(), 3);
    assert_eq!(server.sql(columns), before, "nothing about it has changed");
    if !create.contains("ARTICLE") && create.contains("INCREMENT") || create.contains("SERIAL") {
        // What counts by itself still does.
        server.sql("INSERT INTO htable_config (key_name, key_value) VALUES ('other', '1')");
    }
    Ok(())
}

/// A daemon was killed in the middle of a migration, where each statement is committed at once.
#[tokio::test]
async fn a_migration_that_was_cut_short_is_made_again() -> Result<()> {
    let server = Server::start(Kind::Mariadb);
    open(&server, "sbc1", Missing::Create).await?.0.close().await;
    server.sql("UPDATE sip_filter_migration SET success = FALSE WHERE version = 2; DROP TABLE sip_filter_emergency");
    let (mut store, steps) = open(&server, "sbc1", Missing::Refuse).await?;
    assert_eq!(steps, ["made migration 2, exemptions"]);
    assert_eq!(store.read().await?.emergency, ["112", "911", "999"]);
    Ok(())
}

#[rstest]
#[case::mariadb(Kind::Mariadb)]
#[case::postgres(Kind::Postgres)]
#[tokio::test]
async fn a_newer_schema_is_refused(#[case] kind: Kind) -> Result<()> {
    let server = Server::start(kind);
    open(&server, "sbc1", Missing::Create).await?.0.close().await;
    let checksum = if kind == Kind::Mariadb { "x'00'" } else { "'\\x00'" };
    server.sql(&format!(
        "INSERT INTO sip_filter_migration (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, {checksum}, 0)"
    ));
    let Err(error) = open(&server, "sbc1", Missing::Create).await else { panic!("opened") };
    assert!(error.is_foreign_schema() && error.to_string().contains("9999"), "{error}");
    Ok(())
}
