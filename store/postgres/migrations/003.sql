-- Standing orders not to contact a person, kept for good. NULL stands for no phone and
-- for all workflows and channels.
CREATE TABLE suppressions (
    seq         bigint PRIMARY KEY,
    id          bytea NOT NULL,
    phone       bigint,
    external_id text,
    workflow    bigint,
    channel     text,
    reason      text,
    actor       text,
    created     bigint NOT NULL,
    expires     bigint NOT NULL, -- 0: never
    lifted      bigint NOT NULL, -- 0: it is not
    lifted_by   text,
    lift_reason text
);

CREATE INDEX suppressions_phone ON suppressions (phone, seq) WHERE phone IS NOT NULL;
CREATE INDEX suppressions_external_id ON suppressions (external_id, seq) WHERE external_id IS NOT NULL;
CREATE INDEX suppressions_workflow ON suppressions (workflow, seq) WHERE workflow IS NOT NULL;
CREATE INDEX suppressions_channel ON suppressions (channel, seq) WHERE channel IS NOT NULL;
CREATE INDEX suppressions_expires ON suppressions (expires, seq) WHERE lifted = 0;
CREATE INDEX suppressions_lifted ON suppressions (seq) WHERE lifted <> 0;

-- Its row is changed by every batch with suppressions. A transaction that sees the data
-- as they were at its beginning finds out by it that there is a suppression since.
CREATE TABLE suppressed (n bigint NOT NULL) WITH (fillfactor = 50);

INSERT INTO suppressed VALUES (0);

-- The audit trail, appended.
CREATE TABLE audit (
    seq         bigint PRIMARY KEY,
    at          bigint NOT NULL,
    actor       text,
    action      text,
    reason      text,
    phone       bigint,
    external_id text,
    workflow    bigint,
    lead        bigint,
    suppression bigint,
    detail      bytea,
    hash        bytea NOT NULL
);

CREATE INDEX audit_phone ON audit (phone, seq) WHERE phone IS NOT NULL;
CREATE INDEX audit_external_id ON audit (external_id, seq) WHERE external_id IS NOT NULL;
CREATE INDEX audit_workflow ON audit (workflow, seq) WHERE workflow IS NOT NULL;
CREATE INDEX audit_lead ON audit (lead, seq) WHERE lead IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

-- The last entry of the audit trail. Its row is locked by every batch that adds to it.
CREATE TABLE audit_last (
    seq  bigint NOT NULL,
    hash bytea NOT NULL
) WITH (fillfactor = 50);

INSERT INTO audit_last VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE TABLE settings (
    name  text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

INSERT INTO sequences VALUES (5, 0);

-- When attempts started that count for limits. The engines append to it.
CREATE TABLE starts (
    key   text COLLATE "C" NOT NULL,
    at    bigint NOT NULL,
    phone bigint NOT NULL, -- 0: none
    n     int NOT NULL,
    id    bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (key, at, id)
);

CREATE INDEX starts_phone ON starts (key, phone, at) WHERE phone <> 0;

-- How much of each limit all engines use. A row is locked by every batch that uses it.
CREATE TABLE limits (
    key       text COLLATE "C" PRIMARY KEY,
    flying    bigint NOT NULL, -- attempts in flight
    started   bigint NOT NULL DEFAULT 0, -- attempts that ever started
    forgotten bigint NOT NULL DEFAULT 0, -- those of them of which limit_starts has nothing any more
    at        timestamptz NOT NULL DEFAULT '-infinity' -- the last start
) WITH (fillfactor = 50);

-- When they started, by the clock of the database.
CREATE TABLE limit_starts (
    key     text COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL,
    n       int NOT NULL,
    started bigint NOT NULL, -- that of limits when these had started
    PRIMARY KEY (key, at, started)
);

-- Uses limits, whose keys are in order and different, or fails (LF001). Time never goes
-- back in the log of a limit, even if the clock does. How many started within a span is
-- the difference of two counts, so that it need not be summed up.
CREATE FUNCTION use_limits(keys text[], most bigint[], flights bigint[], bases bigint[], begun int[], spans bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    l      limits;
    since  timestamptz;
    before bigint; -- attempts that had started before the span
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        LOOP
            SELECT * INTO l FROM limits WHERE key = keys[i] FOR UPDATE;
            EXIT WHEN FOUND;
            INSERT INTO limits (key, flying) VALUES (keys[i], bases[i]) ON CONFLICT DO NOTHING;
        END LOOP;
        l.flying := greatest(l.flying + flights[i], 0);
        IF flights[i] > 0 AND l.flying > most[i] THEN
            RAISE EXCEPTION 'a limit is used up' USING ERRCODE = 'LF001', DETAIL = keys[i];
        END IF;
        IF begun[i] > 0 THEN
            l.at := greatest(l.at, clock_timestamp()); -- only now, because the row is locked
            since := l.at - spans[i] * interval '1 microsecond';
            SELECT s.started INTO before FROM limit_starts s WHERE s.key = keys[i] AND s.at < since ORDER BY s.at DESC, s.started DESC LIMIT 1;
            before := coalesce(before, l.forgotten);
            IF l.started - before + begun[i] > most[i] THEN
                RAISE EXCEPTION 'a limit is used up' USING ERRCODE = 'LF001', DETAIL = keys[i];
            END IF;
            l.started := l.started + begun[i];
            INSERT INTO limit_starts VALUES (keys[i], l.at, begun[i], l.started);
            IF before - l.forgotten > greatest(l.started - before, 1000) THEN
                DELETE FROM limit_starts s WHERE s.key = keys[i] AND s.at < since;
                l.forgotten := before;
            END IF;
        END IF;
        UPDATE limits SET flying = l.flying, started = l.started, forgotten = l.forgotten, at = l.at WHERE key = keys[i];
    END LOOP;
END
$$;
