-- The history: what machines there are, what they measured, what was run on them.
-- Never edited once released; changes are new files.

CREATE TABLE machines (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation text NOT NULL,
    namespace    text NOT NULL,
    name         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (installation, namespace, name)
);

-- A machine that is deleted and made again keeps its history; its uids tell the lives apart.
CREATE TABLE machine_uids (
    machine_id integer NOT NULL REFERENCES machines,
    uid        text NOT NULL,
    first_seen timestamptz NOT NULL,
    PRIMARY KEY (machine_id, uid)
);

CREATE TABLE machine_state (
    machine_id    integer PRIMARY KEY REFERENCES machines,
    current_state text NOT NULL,
    state_since   timestamptz NOT NULL,
    reason        text NOT NULL,
    message       text NOT NULL,
    process_id    uuid,
    plc_connected boolean,
    plc_since     timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- One row for each meaning that a name has had: a new one when unit, type, scale or offset change.
CREATE TABLE component_parameters (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id     integer NOT NULL REFERENCES machines,
    component      text NOT NULL,
    name           text NOT NULL,
    description    text NOT NULL,
    data_type      text NOT NULL,
    unit           text NOT NULL,
    scale          double precision NOT NULL,
    value_offset   double precision NOT NULL,
    min_value      double precision,
    max_value      double precision,
    is_writable    boolean NOT NULL,
    modbus_table   text NOT NULL,
    modbus_address integer NOT NULL,
    valid_from     timestamptz NOT NULL,
    valid_to       timestamptz
);
CREATE UNIQUE INDEX component_parameters_current ON component_parameters (machine_id, name)
    WHERE valid_to IS NULL;
CREATE INDEX component_parameters_name ON component_parameters (machine_id, name, valid_from);

-- Every configuration that was in force, and which parameter each column of its scans is.
CREATE TABLE plants (
    machine_id    integer NOT NULL REFERENCES machines,
    digest        text NOT NULL,
    generation    bigint NOT NULL,
    plant         jsonb NOT NULL,
    parameter_ids integer[] NOT NULL,
    loaded_at     timestamptz NOT NULL,
    PRIMARY KEY (machine_id, digest)
);

-- A feed is the journal of one gateway volume. Its position is moved by compare and set, first thing in each transaction.
CREATE TABLE feeds (
    feed       text PRIMARY KEY,
    machine_id integer NOT NULL REFERENCES machines,
    position   bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feeds_machine ON feeds (machine_id, updated_at);

-- Positions without a gap, first to last. What is missing before a segment is told in `gap`.
CREATE TABLE feed_segments (
    feed           text NOT NULL REFERENCES feeds,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    gap            bigint NOT NULL,
    reason         text NOT NULL,
    scans          bigint NOT NULL,
    events         bigint NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (feed, first_position),
    CHECK (first_position <= last_position AND gap >= 0)
);

-- Where each gateway is, so that the logger starts without the API server.
CREATE TABLE gateways (
    installation text NOT NULL,
    namespace    text NOT NULL,
    name         text NOT NULL,
    url          text NOT NULL,
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation, namespace, name)
);

CREATE TABLE process_executions (
    id             uuid PRIMARY KEY,
    machine_id     integer NOT NULL REFERENCES machines,
    namespace      text,
    name           text,
    recipe_version jsonb,
    program        jsonb,
    program_digest text,
    status         text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'aborted')),
    outcome        text,
    start_time     timestamptz,
    end_time       timestamptz,
    error_message  text,
    ended_by       text,
    leaves_done    bigint,
    pulses         bigint,
    worst_error_ns bigint
);
CREATE INDEX process_executions_machine ON process_executions (machine_id, start_time);

CREATE TABLE process_execution_state (
    execution_id         uuid PRIMARY KEY REFERENCES process_executions,
    current_overall_step bigint NOT NULL,
    current_step_type    text NOT NULL,
    current_step_name    text NOT NULL,
    current_step_path    text NOT NULL,
    iterations           integer[] NOT NULL,
    held                 text NOT NULL DEFAULT '',
    last_updated         timestamptz NOT NULL
);

CREATE TABLE step_execution_history (
    process_id  uuid NOT NULL REFERENCES process_executions,
    step_number bigint NOT NULL,
    step_type   text,
    step_name   text,
    step_path   text,
    iterations  integer[],
    started_at  timestamptz,
    ended_at    timestamptz,
    error       text,
    PRIMARY KEY (process_id, step_number)
);

-- Every pulse and every write. Of a pulse the opening write is plc_write_*, the closing one plc_close_*.
CREATE TABLE recipe_execution_audit (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id             integer NOT NULL REFERENCES machines,
    process_id             uuid REFERENCES process_executions,
    feed                   text NOT NULL REFERENCES feeds,
    feed_position          bigint NOT NULL,
    operation_type         text NOT NULL CHECK (operation_type IN ('valve', 'write')),
    requested_by           text NOT NULL,
    step_sequence          bigint,
    step_path              text,
    step_name              text,
    iterations             integer[],
    target                 text NOT NULL,
    target_value           double precision,
    duration_ns            bigint,
    operation_initiated_at timestamptz,
    plc_write_start_time   timestamptz,
    plc_write_end_time     timestamptz,
    plc_close_start_time   timestamptz,
    plc_close_end_time     timestamptz,
    plc_write_duration_ms  double precision GENERATED ALWAYS AS
        (extract(epoch FROM plc_write_end_time - plc_write_start_time) * 1000) STORED,
    error_ns               bigint,
    uncertainty_ns         bigint,
    operation_completed_at timestamptz,
    final_status           text NOT NULL,
    error_message          text
);
CREATE UNIQUE INDEX recipe_execution_audit_pulse ON recipe_execution_audit (process_id, step_sequence)
    WHERE operation_type = 'valve';
CREATE UNIQUE INDEX recipe_execution_audit_feed ON recipe_execution_audit (feed, feed_position);
CREATE INDEX recipe_execution_audit_machine ON recipe_execution_audit (machine_id, operation_initiated_at);

-- Everything else that happened, as the gateway said it.
CREATE TABLE machine_events (
    feed          text NOT NULL REFERENCES feeds,
    feed_position bigint NOT NULL,
    machine_id    integer NOT NULL REFERENCES machines,
    process_id    uuid,
    session       text NOT NULL,
    kind          text NOT NULL,
    timestamp     timestamptz NOT NULL,
    body          jsonb NOT NULL,
    PRIMARY KEY (feed, feed_position)
);
CREATE INDEX machine_events_machine ON machine_events (machine_id, timestamp);

-- One row a scan: when it was, and which transaction its values carry.
CREATE TABLE scans (
    feed           text NOT NULL REFERENCES feeds,
    feed_position  bigint NOT NULL,
    machine_id     integer NOT NULL REFERENCES machines,
    transaction_id uuid NOT NULL UNIQUE,
    process_id     uuid,
    session        text NOT NULL,
    sequence       bigint NOT NULL,
    timestamp      timestamptz NOT NULL,
    duration_ns    bigint NOT NULL,
    late_ns        bigint NOT NULL,
    plant_digest   text NOT NULL,
    signals        integer NOT NULL,
    bad            integer NOT NULL,
    PRIMARY KEY (feed, feed_position)
);
CREATE INDEX scans_machine ON scans (machine_id, timestamp);
CREATE INDEX scans_process ON scans (process_id) WHERE process_id IS NOT NULL;

-- Ids of samples: a block for each scan, so that both tables can be given the same id without asking for each row.
CREATE SEQUENCE sample_ids INCREMENT BY 4096;

-- quality: 0 bad, 1 stale, 2 good. A bad value is NULL.
CREATE TABLE parameter_value_history (
    id             bigint NOT NULL,
    timestamp      timestamptz NOT NULL,
    value          double precision,
    feed_position  bigint NOT NULL,
    transaction_id uuid NOT NULL,
    parameter_id   integer NOT NULL,
    quality        smallint NOT NULL
) PARTITION BY RANGE (timestamp);
CREATE TABLE parameter_value_history_default PARTITION OF parameter_value_history DEFAULT;
CREATE INDEX parameter_value_history_parameter ON parameter_value_history (parameter_id, timestamp);
CREATE INDEX parameter_value_history_transaction ON parameter_value_history (transaction_id);
CREATE INDEX parameter_value_history_time ON parameter_value_history USING brin (timestamp);

CREATE TABLE process_data_points (
    id             bigint NOT NULL,
    timestamp      timestamptz NOT NULL,
    value          double precision,
    feed_position  bigint NOT NULL,
    transaction_id uuid NOT NULL,
    process_id     uuid NOT NULL,
    parameter_id   integer NOT NULL,
    quality        smallint NOT NULL
) PARTITION BY RANGE (timestamp);
CREATE TABLE process_data_points_default PARTITION OF process_data_points DEFAULT;
CREATE INDEX process_data_points_process ON process_data_points (process_id, parameter_id, timestamp);
CREATE INDEX process_data_points_transaction ON process_data_points (transaction_id);
CREATE INDEX process_data_points_time ON process_data_points USING brin (timestamp);

-- What could not be stored, with the reason: a whole record in `body`, or one row of a scan in `detail`.
CREATE TABLE dead_letters (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id    integer NOT NULL REFERENCES machines,
    feed          text NOT NULL REFERENCES feeds,
    feed_position bigint NOT NULL,
    kind          text NOT NULL,
    reason        text NOT NULL,
    body          bytea,
    detail        jsonb,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (body IS NOT NULL OR detail IS NOT NULL)
);
CREATE INDEX dead_letters_created ON dead_letters (created_at);
