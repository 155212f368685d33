-- Kamailio's table, as in its utils/kamctl/mysql/htable-create.sql (table version 2), under the name of --table.
-- Not a numbered migration: the text and the checksum of a migration are fixed, and this name varies.
CREATE TABLE IF NOT EXISTS {table} (
    id         INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
    key_name   VARCHAR(256) DEFAULT '' NOT NULL,
    key_type   INT DEFAULT 0 NOT NULL,
    value_type INT DEFAULT 0 NOT NULL,
    key_value  VARCHAR(512) DEFAULT '' NOT NULL,
    expires    INT DEFAULT 0 NOT NULL
);
