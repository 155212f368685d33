-- The scope of maintenance: the new calls that it is about. While both tables are empty, it is about all. Otherwise it
-- is about calls from one of the sources and about calls to one of the destinations, and all others pass. Of several
-- prefixes of a caller, in sip_filter_scope_source and sip_filter_bypass, the longest counts; bypass wins a tie.
-- Entries of which none can be used are still a scope: no call is in it.
--
-- `sip-filter scope` changes these tables, and so may any SQL: only the first column is needed, and a change is in
-- force as fast as one of the policy rows. Each change by our commands is a row of sip_filter_event, its action
-- scope.add or scope.remove, its `written` the entries: {"source":["198.18.0.0/15"]}, {"destination":["198.18.0.2"]}.

-- Prefixes of callers: trunks, peers.
CREATE TABLE sip_filter_scope_source (
    prefix VARCHAR(64)  NOT NULL PRIMARY KEY, -- IPv4 or IPv6: 198.18.0.0/15, 2001:db8::/32, or an address alone
    why    TEXT,                              -- --why
    actor  VARCHAR(255),                      -- user who added it; NULL: not added by our commands
    at_ms  BIGINT                             -- time at which it was added, Unix time in milliseconds
);

-- Addresses to which the calls come, on one UDP port or on any.
CREATE TABLE sip_filter_scope_destination (
    address VARCHAR(64)  NOT NULL PRIMARY KEY, -- 198.18.0.2, 198.18.0.2:5060, 2001:db8::2 or [2001:db8::2]:5060
    why     TEXT,
    actor   VARCHAR(255),
    at_ms   BIGINT
);

CREATE TRIGGER sip_filter_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sip_filter_scope_source
    FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify();
CREATE TRIGGER sip_filter_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sip_filter_scope_destination
    FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify();
