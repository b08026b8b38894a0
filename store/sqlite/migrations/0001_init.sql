-- Moments are milliseconds since 1970 in UTC; 0 means none. States, statuses,
-- phases and kinds are the integers of the Go constants. NULL stands for empty
-- text and empty bytes, which most rows have, so that they cost no binding.

-- What changes at every step, and nothing else. Only wake and state, which a
-- step that follows a step leaves alone, are in an index.
CREATE TABLE leads (
    seq       INTEGER PRIMARY KEY,
    workflow  INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    phase     INTEGER NOT NULL,
    node      INTEGER NOT NULL,
    visit     INTEGER NOT NULL,
    visits    INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    entered   INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    started   INTEGER NOT NULL,
    deadline  INTEGER NOT NULL,
    wake      INTEGER,          -- NULL for a final lead
    last_step INTEGER NOT NULL, -- steps.seq, 0 before the first
    updated   INTEGER NOT NULL,
    outcome   TEXT,
    extra     BLOB
) STRICT;

-- Within one wake an index is in order of seq, because seq is the rowid.
CREATE INDEX leads_wake ON leads (wake) WHERE wake IS NOT NULL;
CREATE INDEX leads_state ON leads (workflow, state);

-- What never changes about a lead.
CREATE TABLE contacts (
    seq         INTEGER PRIMARY KEY, -- leads.seq
    id          BLOB NOT NULL,
    phone       INTEGER NOT NULL,
    external_id TEXT,
    time_zone   TEXT,
    metadata    BLOB,
    enrolled    INTEGER NOT NULL
) STRICT;

CREATE INDEX contacts_phone ON contacts (phone);

-- Who has a lead that is not final: at most one a workflow and phone.
CREATE TABLE live (
    workflow INTEGER NOT NULL,
    phone    INTEGER NOT NULL,
    lead     INTEGER NOT NULL,
    PRIMARY KEY (workflow, phone)
) STRICT, WITHOUT ROWID;

-- How many leads a workflow has in each state, kept by every commit.
CREATE TABLE counts (
    workflow INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (workflow, state)
) STRICT, WITHOUT ROWID;

-- Finished steps, appended. A lead's chain starts at leads.last_step and goes
-- on by prev, so no index has to be kept over leads.
CREATE TABLE steps (
    seq      INTEGER PRIMARY KEY,
    prev     INTEGER NOT NULL,
    lead     INTEGER NOT NULL,
    visit    INTEGER NOT NULL,
    node     INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    entered  INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    exited   INTEGER NOT NULL,
    outcome  TEXT,
    detail   BLOB
) STRICT;

-- The call log. It outlives the leads, so it repeats what it needs of them.
CREATE TABLE calls (
    seq      INTEGER PRIMARY KEY,
    lead     INTEGER NOT NULL,
    lead_id  BLOB NOT NULL,
    workflow INTEGER NOT NULL,
    phone    INTEGER NOT NULL,
    visit    INTEGER NOT NULL,
    entered  INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    node_id  TEXT,
    status   INTEGER NOT NULL,
    started  INTEGER NOT NULL,
    ended    INTEGER NOT NULL,
    call_id  TEXT,
    outcome  TEXT,
    error    TEXT,
    data     BLOB
) STRICT;

CREATE INDEX calls_workflow ON calls (workflow);
CREATE INDEX calls_lead ON calls (lead);
CREATE INDEX calls_phone ON calls (phone);
CREATE INDEX calls_started ON calls (started);

CREATE TABLE workflows (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    version     INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    name        TEXT,
    description TEXT,
    definition  BLOB,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    deleted     INTEGER NOT NULL
) STRICT;

-- The last number handed out of each sequence, written when rows that carry the
-- highest numbers may be deleted. At other times the rows themselves say it.
CREATE TABLE sequences (
    kind INTEGER PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
