-- The tables of one partition; {{n}} is its number.
CREATE TABLE {{s}}jobs_{{n}} (
    id         {{key}},
    live       BIGINT NOT NULL,
    changed    BIGINT NOT NULL,
    namespace  {{text}} NOT NULL,
    queue      {{text}} NOT NULL,
    name       {{text}} NOT NULL,
    state      BIGINT NOT NULL,
    submitted  BIGINT NOT NULL,
    ended      BIGINT NOT NULL,
    keep_until BIGINT NOT NULL,
    key_hash   BIGINT NOT NULL,
    labels     {{blob}},
    spec       {{blob}} NOT NULL,
    sum        BIGINT NOT NULL, -- CRC-32C of all the others but the payload
    body       {{blob}},
    payload    {{blob}} -- its own CRC-32C, four bytes, and what was given
);
CREATE INDEX jobs_{{n}}_live ON {{s}}jobs_{{n}} (live, id) WHERE live = 1;
CREATE INDEX jobs_{{n}}_key ON {{s}}jobs_{{n}} (key_hash) WHERE key_hash <> 0;
CREATE TABLE {{s}}parts_{{n}} (
    job     BIGINT NOT NULL,
    task    BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    sum     BIGINT NOT NULL,
    body    {{blob}},
    PRIMARY KEY (job, task, kind, n)
);
CREATE TABLE {{s}}specs_{{n}} (
    hash {{blob}} PRIMARY KEY,
    sum  BIGINT NOT NULL,
    body {{blob}}
);
