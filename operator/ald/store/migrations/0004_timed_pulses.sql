-- Who ended a pulse after its width: the gateway by a write, whose error it measured, or the PLC by its own timer.
ALTER TABLE recipe_execution_audit
    ADD COLUMN timed_by text;
