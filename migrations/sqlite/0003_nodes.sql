-- A switch may be of one host alone (`--node`, row maint@NODE): its name; NULL: of all.
-- `via` may be 'outside' now: the row was changed by other means (SQL, Kamailio), and a daemon has seen it; and
-- 'planned': maintenance has ended at its planned end.
ALTER TABLE sip_filter_event ADD COLUMN target VARCHAR(255);

-- The hosts that share this database, and what each has applied: a row for each, which its daemon writes whenever it has
-- applied something, and every 5 s.
CREATE TABLE sip_filter_node (
    node        VARCHAR(64)   NOT NULL PRIMARY KEY, -- --node
    interfaces  VARCHAR(1024) NOT NULL,             -- separated by commas
    version     VARCHAR(32)   NOT NULL,             -- of the daemon
    maintenance SMALLINT      NOT NULL,             -- 1: it refuses new calls
    state       VARCHAR(1024) NOT NULL,             -- what it has in force, for people
    event_id    BIGINT        NOT NULL,             -- the last event that it had seen when it put that in force
    applied_ms  BIGINT        NOT NULL,             -- when, Unix time in milliseconds by the host's clock
    running     SMALLINT      NOT NULL,             -- 0: it was stopped in good order
    heard_ms    BIGINT        NOT NULL              -- last heartbeat, Unix time in milliseconds by the database's clock
);
