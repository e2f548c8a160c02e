-- How often a run was begun: more than once when it was taken up after a restart of the gateway.
ALTER TABLE process_executions
    ADD COLUMN attempts integer NOT NULL DEFAULT 1;
