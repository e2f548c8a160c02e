-- How exact the pulses of a run were, as the gateway counted it; limits are in program->'timing'.
ALTER TABLE process_executions
    ADD COLUMN p50_error_ns         bigint,
    ADD COLUMN p99_error_ns         bigint,
    ADD COLUMN worst_relative_error double precision;
