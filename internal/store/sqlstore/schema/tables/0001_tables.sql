-- The one row that every flush moves forward.
CREATE TABLE meta (
    one       {{key}} CHECK (one = 1),
    projected BIGINT NOT NULL, -- the rows cover the journal up to here
    layout    BIGINT NOT NULL, -- rises when a partition comes or goes
    max_job   BIGINT NOT NULL, -- greatest job id ever flushed
    numbers   BIGINT NOT NULL  -- partition numbers given out
);
INSERT INTO meta (one, projected, layout, max_job, numbers) VALUES (1, 0, 0, 0, 0);

CREATE TABLE objects (
    kind    BIGINT NOT NULL,
    name    TEXT NOT NULL,
    changed BIGINT NOT NULL,
    sum     BIGINT NOT NULL, -- CRC-32C of the state and the key columns
    state   {{blob}},
    PRIMARY KEY (kind, name)
);

-- A partition holds the jobs from its first id to the next partition's.
CREATE TABLE partitions (
    number   {{key}},
    first    BIGINT NOT NULL,
    begins   BIGINT NOT NULL, -- of submission: Unix milliseconds, rounded down to a span
    keep_min BIGINT NOT NULL, -- bounds of keep_until among its finished jobs
    keep_max BIGINT NOT NULL
);
