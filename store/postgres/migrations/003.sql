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
