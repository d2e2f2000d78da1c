-- oldest: 1
-- Names that people gave are BYTEA: a database's encoding, collation and fear of zero bytes are
-- none of theirs.

-- One row per batch: what one turn of the leader's loop decided.
CREATE TABLE reeve.journal (
    seq     BIGINT PRIMARY KEY,
    epoch   BIGINT NOT NULL,
    id      BYTEA NOT NULL,
    sum     BIGINT NOT NULL, -- CRC-32C of the other columns, of the payload before it was packed
    payload BYTEA, -- packed: a byte that says how, and what that made of the events
    prev    BYTEA -- the id of the batch before
);
-- Nobody wins by packing it twice.
ALTER TABLE reeve.journal ALTER COLUMN payload SET STORAGE EXTERNAL;

-- What is committed when something must be: see package postgres.
CREATE TABLE reeve.pulse (one BIGINT PRIMARY KEY CHECK (one = 1), n BIGINT NOT NULL) WITH (fillfactor = 50);
INSERT INTO reeve.pulse (one, n) VALUES (1, 0);

-- The one row that every flush moves forward.
CREATE TABLE reeve.meta (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    projected BIGINT NOT NULL, -- the rows cover the journal up to here
    layout    BIGINT NOT NULL, -- rises when a partition comes or goes
    max_job   BIGINT NOT NULL, -- greatest job id ever flushed
    numbers   BIGINT NOT NULL  -- partition numbers given out
) WITH (fillfactor = 50);
INSERT INTO reeve.meta (one, projected, layout, max_job, numbers) VALUES (1, 0, 0, 0, 0);

CREATE TABLE reeve.objects (
    kind    BIGINT NOT NULL,
    name    BYTEA NOT NULL,
    changed BIGINT NOT NULL,
    sum     BIGINT NOT NULL, -- CRC-32C of the state and the key columns
    state   BYTEA,
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 70);

-- A partition holds the jobs from its first id to the next partition's.
CREATE TABLE reeve.partitions (
    number   BIGINT PRIMARY KEY,
    first    BIGINT NOT NULL,
    begins   BIGINT NOT NULL, -- of submission: Unix milliseconds, rounded down to a span
    keep_min BIGINT NOT NULL, -- bounds of keep_until among its finished jobs
    keep_max BIGINT NOT NULL
);

-- Who should lead.
CREATE TABLE reeve.lease (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    holder     BYTEA NOT NULL,
    address    BYTEA NOT NULL,
    until      TIMESTAMPTZ NOT NULL,
    generation BIGINT NOT NULL
) WITH (fillfactor = 50);
INSERT INTO reeve.lease (one, holder, address, until, generation)
VALUES (1, decode('00000000000000000000000000000000', 'hex'), '', clock_timestamp(), 0);

-- The servers that share the store.
CREATE TABLE reeve.servers (
    id      BYTEA PRIMARY KEY,
    address BYTEA NOT NULL,
    version BYTEA NOT NULL,
    format  BIGINT NOT NULL,
    seen    TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);

-- What all of them know and nobody else.
CREATE TABLE reeve.secrets (
    name   BYTEA PRIMARY KEY,
    secret BYTEA NOT NULL
);
