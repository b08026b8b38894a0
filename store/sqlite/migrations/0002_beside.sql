-- Bytes beside a lead, such as the data of a scheduled message. The key is the
-- lead's seq times 2^22, plus the visit: those of a lead lie together.
CREATE TABLE payloads (
    key  INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

-- Most contacts and calls have neither.
CREATE INDEX contacts_external_id ON contacts (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX calls_call_id ON calls (call_id) WHERE call_id IS NOT NULL;
