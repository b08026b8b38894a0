-- Where a lead is found in lists: 8 times its place, plus its state. The place is
-- the node plus 1, or 0 while a handler or a hook of its step runs. It takes the
-- column of the state, so that a step, which mostly follows a step and leaves it
-- alone, has no column more to write.
ALTER TABLE leads RENAME COLUMN state TO spot;
UPDATE leads SET spot = 8 * CASE WHEN phase IN (2, 5) THEN 0 ELSE node + 1 END + spot;
DROP INDEX leads_state;

-- Within one spot it is in order of seq, because seq is the rowid.
CREATE INDEX leads_spot ON leads (workflow, spot);

-- How many leads a workflow has at each node in each state, kept by every commit.
CREATE TABLE node_counts (
    workflow INTEGER NOT NULL,
    node     INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (workflow, node, state)
) STRICT, WITHOUT ROWID;

INSERT INTO node_counts SELECT workflow, node, spot & 7, count(*) FROM leads GROUP BY 1, 2, 3;
DROP TABLE counts;

-- The leads of each external id. Most contacts have none, and cost nothing here.
CREATE TABLE external_ids (
    external_id TEXT NOT NULL,
    lead        INTEGER NOT NULL, -- leads.seq
    PRIMARY KEY (external_id, lead)
) STRICT, WITHOUT ROWID;

INSERT INTO external_ids SELECT external_id, seq FROM contacts WHERE external_id IS NOT NULL;

-- Bytes beside a lead, such as the data of a scheduled message. The key is the
-- lead's seq times 2^22, plus the visit: those of a lead lie together.
CREATE TABLE payloads (
    key  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE INDEX calls_call_id ON calls (call_id) WHERE call_id IS NOT NULL;
