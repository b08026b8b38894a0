-- Standing orders not to contact a person, kept for good. NULL stands for no phone and
-- for all workflows and channels.
CREATE TABLE suppressions (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    phone       INTEGER,
    external_id TEXT,
    workflow    INTEGER,
    channel     TEXT,
    reason      TEXT,
    actor       TEXT,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL, -- 0: never
    lifted      INTEGER NOT NULL, -- 0: it is not
    lifted_by   TEXT,
    lift_reason TEXT
) STRICT;

CREATE INDEX suppressions_phone ON suppressions (phone) WHERE phone IS NOT NULL;
CREATE INDEX suppressions_external_id ON suppressions (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX suppressions_workflow ON suppressions (workflow) WHERE workflow IS NOT NULL;
CREATE INDEX suppressions_channel ON suppressions (channel) WHERE channel IS NOT NULL;

-- Those that never expire, in order of seq, and then those that do, by when.
CREATE INDEX suppressions_expires ON suppressions (expires) WHERE lifted = 0;
-- Those that do, in order of seq, for when they are too many to be sorted.
CREATE INDEX suppressions_expiring ON suppressions (seq, expires) WHERE lifted = 0 AND expires <> 0;
CREATE INDEX suppressions_lifted ON suppressions (seq) WHERE lifted <> 0;

-- The audit trail, appended.
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT,
    action      TEXT,
    reason      TEXT,
    phone       INTEGER,
    external_id TEXT,
    workflow    INTEGER,
    lead        INTEGER,
    suppression INTEGER,
    detail      BLOB,
    hash        BLOB NOT NULL
) STRICT;

CREATE INDEX audit_phone ON audit (phone) WHERE phone IS NOT NULL;
CREATE INDEX audit_external_id ON audit (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX audit_workflow ON audit (workflow) WHERE workflow IS NOT NULL;
CREATE INDEX audit_lead ON audit (lead) WHERE lead IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor) WHERE actor IS NOT NULL;
CREATE INDEX audit_at ON audit (at);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- When attempts started that count for limits: those of a limit, in order of time. A
-- phone of 0 stands for none.
CREATE TABLE starts (
    key   TEXT NOT NULL,
    at    INTEGER NOT NULL,
    phone INTEGER NOT NULL,
    n     INTEGER NOT NULL,
    PRIMARY KEY (key, at, phone)
) STRICT, WITHOUT ROWID;

CREATE INDEX starts_phone ON starts (key, phone, at) WHERE phone <> 0;
