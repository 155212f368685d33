-- Kamailio's table, as in its utils/kamctl/postgres/htable-create.sql (table version 2), under the name of --table.
-- Not a numbered migration: the text and the checksum of a migration are fixed, and this name varies.
CREATE TABLE IF NOT EXISTS {table} (
    id         SERIAL PRIMARY KEY NOT NULL,
    key_name   VARCHAR(256) DEFAULT '' NOT NULL,
    key_type   INTEGER DEFAULT 0 NOT NULL,
    value_type INTEGER DEFAULT 0 NOT NULL,
    key_value  VARCHAR(512) DEFAULT '' NOT NULL,
    expires    INTEGER DEFAULT 0 NOT NULL
);
