-- Moments are milliseconds since 1970 in UTC; 0 means none. States, statuses, phases
-- and kinds are the integers of the Go constants. Texts are as they are but for a few
-- bytes that PostgreSQL takes in none; see text.go.

-- Who may write. The row with the highest epoch is the owner's; the rows before it are
-- kept for a while, so that an owner of before can ask what became of its last batch.
CREATE TABLE owners (
    epoch   bigint PRIMARY KEY,
    name    text NOT NULL,
    until   timestamptz NOT NULL, -- the lease, by the clock of the database
    over    boolean NOT NULL DEFAULT false,
    batch   bigint NOT NULL DEFAULT 0, -- the last one committed
    backend integer NOT NULL, -- the process of the server that commits its batches
    begun   timestamptz NOT NULL -- and when that began, because such numbers are used again
);

-- What changes at every step, and nothing else. Only wake and spot, which a step that
-- follows a step leaves alone, are in an index: so a step is a HOT update.
CREATE TABLE leads (
    seq       bigint PRIMARY KEY,
    workflow  bigint NOT NULL,
    version   bigint NOT NULL,
    spot      bigint NOT NULL, -- 8 times the node plus 1, or 0 while it is on the move, plus the state
    phase     smallint NOT NULL,
    node      integer NOT NULL,
    visit     integer NOT NULL,
    visits    integer NOT NULL,
    attempt   integer NOT NULL,
    entered   bigint NOT NULL,
    due       bigint NOT NULL,
    started   bigint NOT NULL,
    deadline  bigint NOT NULL,
    wake      bigint, -- NULL for a final lead
    last_step bigint NOT NULL, -- steps.seq, 0 before the first
    updated   bigint NOT NULL,
    outcome   text,
    extra     bytea
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX leads_wake ON leads (wake, seq) WHERE wake IS NOT NULL;
CREATE INDEX leads_spot ON leads (workflow, spot, seq);

-- What a step never changes about a lead.
CREATE TABLE contacts (
    seq         bigint PRIMARY KEY, -- leads.seq
    id          bytea NOT NULL,
    phone       bigint NOT NULL,
    external_id text,
    time_zone   text,
    metadata    bytea,
    enrolled    bigint NOT NULL
);

CREATE INDEX contacts_phone ON contacts (phone, seq);
CREATE INDEX contacts_external_id ON contacts (external_id, seq) WHERE external_id IS NOT NULL;

-- Who has a lead that is not final: at most one a workflow and phone.
CREATE TABLE live (
    workflow bigint NOT NULL,
    phone    bigint NOT NULL,
    lead     bigint NOT NULL,
    PRIMARY KEY (workflow, phone)
);

-- How many leads a workflow has at each node in each state, kept by every commit.
CREATE TABLE node_counts (
    workflow bigint NOT NULL,
    node     integer NOT NULL,
    state    smallint NOT NULL,
    n        bigint NOT NULL,
    PRIMARY KEY (workflow, node, state)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Finished steps, appended. A lead's chain starts at leads.last_step and goes on by
-- prev, so no index has to be kept over leads.
CREATE TABLE steps (
    seq      bigint PRIMARY KEY,
    prev     bigint NOT NULL,
    lead     bigint NOT NULL,
    visit    integer NOT NULL,
    node     integer NOT NULL,
    kind     smallint NOT NULL,
    status   smallint NOT NULL,
    attempts integer NOT NULL,
    entered  bigint NOT NULL,
    due      bigint NOT NULL,
    started  bigint NOT NULL,
    exited   bigint NOT NULL,
    outcome  text,
    detail   bytea
);

-- The call log. It outlives the leads, so it repeats what it needs of them.
CREATE TABLE calls (
    seq      bigint PRIMARY KEY,
    lead     bigint NOT NULL,
    lead_id  bytea NOT NULL,
    workflow bigint NOT NULL,
    phone    bigint NOT NULL,
    visit    integer NOT NULL,
    entered  bigint NOT NULL,
    attempt  integer NOT NULL,
    node_id  text,
    status   smallint NOT NULL,
    started  bigint NOT NULL,
    ended    bigint NOT NULL,
    call_id  text,
    outcome  text,
    error    text,
    data     bytea
);

CREATE INDEX calls_workflow ON calls (workflow, seq);
CREATE INDEX calls_lead ON calls (lead, seq);
CREATE INDEX calls_phone ON calls (phone, seq);
CREATE INDEX calls_started ON calls (started);
CREATE INDEX calls_call_id ON calls (call_id, seq) WHERE call_id IS NOT NULL;

-- Bytes beside a lead, such as the data of scheduled messages.
CREATE TABLE payloads (
    lead  bigint NOT NULL,
    visit integer NOT NULL CHECK (visit BETWEEN 0 AND 4194303), -- lead.MaxVisits
    data  bytea NOT NULL,
    PRIMARY KEY (lead, visit)
);

CREATE TABLE workflows (
    seq         bigint PRIMARY KEY,
    id          bytea NOT NULL UNIQUE,
    version     bigint NOT NULL,
    status      smallint NOT NULL,
    name        text,
    description text,
    definition  bytea,
    created     bigint NOT NULL,
    updated     bigint NOT NULL,
    deleted     boolean NOT NULL
);

-- The last number handed out of each sequence. Numbers are taken in blocks.
CREATE TABLE sequences (
    kind smallint PRIMARY KEY,
    last bigint NOT NULL
);

INSERT INTO sequences SELECT kind, 0 FROM generate_series(1, 4) kind;
