"""What the statements of this package need to find in a database, checked before any of them runs."""

from collections.abc import Iterator, Mapping

from psycopg import AsyncConnection

from ald.errors import RefusedError
from ald.store.errors import SCHEMA_DAMAGED

COLUMNS: Mapping[str, str] = {
    "machines": "id installation namespace name",
    "machine_uids": "machine_id uid first_seen",
    "machine_state": "machine_id current_state state_since reason message process_id plc_connected plc_since updated_at",
    "component_parameters": "id machine_id component name description data_type unit scale value_offset min_value "
    "max_value is_writable modbus_table modbus_address valid_from valid_to",
    "plants": "machine_id digest generation plant parameter_ids loaded_at",
    "feeds": "feed machine_id position updated_at",
    "feed_segments": "feed first_position last_position gap reason scans events updated_at",
    "gateways": "installation namespace name url seen_at",
    "process_executions": "id machine_id namespace name recipe_version program program_digest status outcome start_time "
    "end_time error_message ended_by leaves_done pulses worst_error_ns "
    "p50_error_ns p99_error_ns worst_relative_error attempts",
    "process_execution_state": "execution_id current_overall_step current_step_type current_step_name current_step_path "
    "iterations held last_updated",
    "step_execution_history": "process_id step_number step_type step_name step_path iterations started_at ended_at error",
    "recipe_execution_audit": "machine_id process_id feed feed_position operation_type requested_by step_sequence "
    "step_path step_name iterations target target_value duration_ns operation_initiated_at plc_write_start_time "
    "plc_write_end_time plc_close_start_time plc_close_end_time error_ns uncertainty_ns operation_completed_at "
    "final_status error_message timed_by",
    "machine_events": "feed feed_position machine_id process_id session kind timestamp body",
    "scans": "feed feed_position machine_id transaction_id process_id session sequence timestamp duration_ns late_ns "
    "plant_digest signals bad",
    "parameter_value_history": "id timestamp value feed_position transaction_id parameter_id quality",
    "process_data_points": "id timestamp value feed_position transaction_id process_id parameter_id quality",
    "dead_letters": "machine_id feed feed_position kind reason body detail",
}
"""Tables and their columns, as the statements name them."""


def missing(present: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield every table and column that is not there, in words."""
    for table, columns in COLUMNS.items():
        if table not in present:
            yield f"table {table}"
            continue
        for column in columns.split():
            if column not in present[table]:
                yield f"column {table}.{column}"


async def check(connection: AsyncConnection) -> None:
    """Look whether everything is there.

    Raises:
        RefusedError: something is missing; names all of it, reason `SchemaDamaged`.
    """
    rows = await connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = any(current_schemas(false))"
    )
    present: dict[str, set[str]] = {}
    for table, column in await rows.fetchall():
        present.setdefault(table, set()).add(column)
    lacking = list(missing(present))
    if lacking:
        raise RefusedError(
            SCHEMA_DAMAGED,
            f"the history lacks {', '.join(lacking)}, though its migrations were applied; "
            "restore what is named from a backup",
        )
