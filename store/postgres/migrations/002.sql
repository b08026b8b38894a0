-- Several engines at a time: owners has a row for each engine that has a place or had
-- one. A contact's leads are in the shard that is the remainder of the phone by 64.
ALTER TABLE owners RENAME TO engines;
ALTER TABLE engines ADD COLUMN joined timestamptz NOT NULL DEFAULT clock_timestamp();
ALTER TABLE engines ADD COLUMN takes boolean NOT NULL DEFAULT false; -- it was started, and is not shutting down
ALTER TABLE engines ADD COLUMN flows bigint NOT NULL DEFAULT 0; -- changes of workflows by others since it joined
ALTER TABLE engines ADD COLUMN seen bigint NOT NULL DEFAULT 0; -- those that it has taken note of

-- Which engine acts on the leads of a shard; 0 for none.
CREATE TABLE shards (
    shard smallint PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO shards SELECT generate_series(0, 63);

-- What an engine has changed that another one acts on.
CREATE TABLE notices (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard  smallint NOT NULL,
    engine bigint NOT NULL, -- for that engine; 0: for the one that has the shard
    lead   bigint NOT NULL, -- 0: for one or more that were enrolled
    wake   bigint NOT NULL
);

ALTER TABLE leads ADD COLUMN shard smallint NOT NULL DEFAULT 0;
UPDATE leads l SET shard = c.phone % 64 FROM contacts c WHERE c.seq = l.seq;
DROP INDEX leads_wake;
CREATE INDEX leads_wake ON leads (wake, seq, shard) WHERE wake IS NOT NULL;
