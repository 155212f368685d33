CREATE TABLE IF NOT EXISTS "htable_config" (
    id         INTEGER PRIMARY KEY NOT NULL,
    key_name   VARCHAR(256) DEFAULT '' NOT NULL,
    key_type   INTEGER DEFAULT 0 NOT NULL,
    value_type INTEGER DEFAULT 0 NOT NULL,
    key_value  VARCHAR(512) DEFAULT '' NOT NULL,
    expires    INTEGER DEFAULT 0 NOT NULL
);
INSERT INTO htable_config VALUES(1,'maint',0,0,'1',0);
INSERT INTO htable_config VALUES(2,'maint_code',0,0,'480',0);
CREATE TABLE sip_filter_migration (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO sip_filter_migration VALUES(1,'events and cluster','2026-11-24 15:35:22',1,X'a06a164579221f222276dc0941801994c7f63ab8a1e9a3df562089d0e9808f33dc45de9b281082fabb73c50659b7467a',942330);
CREATE TABLE sip_filter_event (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   BIGINT       NOT NULL,            -- Unix time in milliseconds
    node    VARCHAR(255) NOT NULL,            -- host on which it was switched
    actor   VARCHAR(255) NOT NULL,            -- user who switched it
    via     VARCHAR(16)  NOT NULL,            -- 'daemon': through a daemon's socket; 'database': without a daemon
    action  VARCHAR(16)  NOT NULL,            -- 'on' or 'off'
    why     TEXT,                             -- --why
    written TEXT         NOT NULL             -- JSON object of the rows written: {"maint":"1","maint_code":"503"}
);
INSERT INTO sip_filter_event VALUES(1,1795534522476,'vm','root','database','on','upgrade','{"maint":"1","maint_code":"480"}');
CREATE TABLE sip_filter_cluster (
    id         INTEGER  PRIMARY KEY CHECK (id = 1),
    tag_prefix CHAR(8)  NOT NULL,             -- start of each To tag: 8 lower-case letters or digits
    tag_key    CHAR(32) NOT NULL              -- SipHash key in hexadecimal; secret
);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('sip_filter_event',1);
