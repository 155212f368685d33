-- Kamailio's htable, as its own utils/kamctl/postgres/htable-create.sql has it (version 2), under the name that
-- --table gives it. Not a numbered migration: those have fixed text and a checksum, this has a name that varies.
CREATE TABLE IF NOT EXISTS {table} (
    id         SERIAL PRIMARY KEY NOT NULL,
    key_name   VARCHAR(256) DEFAULT '' NOT NULL,
    key_type   INTEGER DEFAULT 0 NOT NULL,
    value_type INTEGER DEFAULT 0 NOT NULL,
    key_value  VARCHAR(512) DEFAULT '' NOT NULL,
    expires    INTEGER DEFAULT 0 NOT NULL
);
