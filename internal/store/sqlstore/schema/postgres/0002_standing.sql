-- oldest: 1
-- How servers fare. Those that knew only the first step say nothing of it.
ALTER TABLE reeve.servers
    ADD COLUMN behind  BIGINT NOT NULL DEFAULT -1, -- milliseconds since it had seen everything
    ADD COLUMN trouble BYTEA NOT NULL DEFAULT '';  -- why it can neither lead nor follow
