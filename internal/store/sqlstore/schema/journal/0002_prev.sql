-- Each batch names the one before it, so that another history shows. Batches from before this
-- step name none.
ALTER TABLE journal ADD COLUMN prev {{blob}};
