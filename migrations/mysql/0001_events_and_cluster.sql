-- Our own tables beside Kamailio's; that one is in htable.sql, since its name is the operator's choice.
-- MySQL commits each CREATE TABLE at once: all statements here can be repeated, should one of them not be reached.

-- Who switched what, when and why: one row for each `sip-filter on` and `sip-filter off`, and for each change that was
-- seen from outside.
CREATE TABLE IF NOT EXISTS sip_filter_event (
    id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms   BIGINT       NOT NULL,            -- Unix time in milliseconds
    node    VARCHAR(255) NOT NULL,            -- host on which it was switched
    actor   VARCHAR(255) NOT NULL,            -- user who switched it
    via     VARCHAR(16)  NOT NULL,            -- 'daemon': through a daemon's socket; 'database': without a daemon;
                                              -- 'outside': seen in the table; 'planned': at its planned end
    action  VARCHAR(16)  NOT NULL,            -- 'on' or 'off', bypass.add and the like
    target  VARCHAR(255),                     -- --node: of this host alone; NULL: of all
    why     TEXT,                             -- --why
    written TEXT         NOT NULL             -- JSON object of the rows written: {"maint":"1","maint_code":"503"}
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- What all hosts of the cluster share: the identity in the To tags of our responses (exactly one row).
CREATE TABLE IF NOT EXISTS sip_filter_cluster (
    id         INT      NOT NULL PRIMARY KEY CHECK (id = 1),
    tag_prefix CHAR(8)  NOT NULL,             -- start of each To tag: 8 lower-case letters or digits
    tag_key    CHAR(32) NOT NULL              -- SipHash key in hexadecimal; secret
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
