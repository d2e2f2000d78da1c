-- One row per batch: what one turn of the leader's loop decided.
CREATE TABLE journal (
    seq     {{key}},
    epoch   BIGINT NOT NULL,
    id      {{blob}} NOT NULL,
    sum     BIGINT NOT NULL, -- CRC-32C of the other columns
    payload {{blob}}
);
