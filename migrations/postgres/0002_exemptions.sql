-- Calls that are never refused, maintenance or not. `sip-filter bypass` and `sip-filter emergency` change these tables,
-- and so may any SQL: only the first column is needed, and a change is in force as fast as one of the policy rows.

-- Where calls come from that are never refused: test callers, B-legs from inside.
CREATE TABLE sip_filter_bypass (
    prefix VARCHAR(64)  NOT NULL PRIMARY KEY, -- IPv4 or IPv6: 198.18.0.0/15, 2001:db8::/32; an address alone is just that one
    why    TEXT,                              -- --why
    actor  VARCHAR(255),                      -- user who added it; NULL: not by our commands
    at_ms  BIGINT                             -- when, Unix time in milliseconds
);

-- Whom to call is an emergency: user parts of the Request-URI, 911 of sip:911@example.com and tel:911. A database
-- without any still has urn:service:sos, Priority and Resource-Priority.
CREATE TABLE sip_filter_emergency (
    user_part VARCHAR(64)  NOT NULL PRIMARY KEY, -- 1 to 15 printable ASCII characters, none of @ : ;
    why       TEXT,
    actor     VARCHAR(255),
    at_ms     BIGINT
);

INSERT INTO sip_filter_emergency (user_part, why) VALUES
    ('911', 'default: North America'),
    ('112', 'default: Europe and GSM'),
    ('999', 'default: United Kingdom');

CREATE TRIGGER sip_filter_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sip_filter_bypass
    FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify();
CREATE TRIGGER sip_filter_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sip_filter_emergency
    FOR EACH STATEMENT EXECUTE FUNCTION sip_filter_notify();
