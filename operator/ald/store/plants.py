"""Which parameter each column of a scan is: ids that keep their meaning for good."""

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection

from ald.plant.model import Parameter, Signal, signals
from ald.records.event import PlantLoaded
from ald.store.model import utc

Ids = npt.NDArray[np.int32]


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two values of one name comparable; a change of any of it is a new parameter."""

    data_type: str
    unit: str
    scale: float
    offset: float


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One current parameter of the database."""

    id: int
    meaning: Meaning


def meaning(signal: Signal) -> Meaning:
    return Meaning(
        data_type=signal.point.type.value,
        unit=signal.unit,
        scale=signal.scale,
        offset=signal.offset,
    )


def changes(
    wanted: tuple[Signal, ...], current: dict[str, Known]
) -> tuple[list[Signal], list[int]]:
    """Return the signals that need a new row, and the ids that end: those and the ones no longer there."""
    fresh = [s for s in wanted if s.name not in current or current[s.name].meaning != meaning(s)]
    kept = {s.name for s in wanted} - {s.name for s in fresh}
    return fresh, [known.id for name, known in current.items() if name not in kept]


async def register(connection: AsyncConnection, machine_id: int, event: PlantLoaded) -> Ids:
    """Make a plant's parameters the current ones of its machine and return their ids in the order of a scan."""
    wanted = signals(event.plant)
    current = await _current(connection, machine_id)
    fresh, ended = changes(wanted, current)
    since = utc(event.wall_ns)
    if ended:
        await connection.execute(
            "UPDATE component_parameters SET valid_to = %s WHERE id = ANY(%s)", [since, ended]
        )
    uid = event.plant.identity.uid
    if uid:
        await connection.execute(
            "INSERT INTO machine_uids (machine_id, uid, first_seen) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [machine_id, uid, since],
        )
    bounds = {p.name: p for p in event.plant.parameters}
    numbers = {f"valve.{v.name}": v.number for v in event.plant.valves}
    async with connection.cursor() as cursor:
        if fresh:
            await cursor.executemany(
                "INSERT INTO component_parameters (machine_id, name, valid_from, data_type, unit, scale, value_offset, "
                "component, description, min_value, max_value, is_writable, modbus_table, modbus_address, modbus_bit) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        machine_id,
                        s.name,
                        since,
                        *msgspec.structs.astuple(meaning(s)),
                        *_rest(s, bounds, numbers),
                    )
                    for s in fresh
                ],
            )
        renewed = {s.name for s in fresh}
        kept = [s for s in wanted if s.name not in renewed]
        if kept:
            await cursor.executemany(
                "UPDATE component_parameters SET component = %s, description = %s, min_value = %s, max_value = %s, "
                "is_writable = %s, modbus_table = %s, modbus_address = %s, modbus_bit = %s WHERE id = %s",
                [(*_rest(s, bounds, numbers), current[s.name].id) for s in kept],
            )
    known = await _current(connection, machine_id)
    ids = [known[s.name].id for s in wanted]
    await connection.execute(
        "INSERT INTO plants (machine_id, digest, generation, plant, parameter_ids, loaded_at) "
        "VALUES (%s, %s, %s, %s::jsonb, %s, %s) ON CONFLICT (machine_id, digest) DO UPDATE SET "
        "parameter_ids = excluded.parameter_ids, loaded_at = excluded.loaded_at",
        [
            machine_id,
            event.plant_digest,
            event.plant.generation,
            msgspec.json.encode(event.plant).decode(),
            ids,
            since,
        ],
    )
    return np.array(ids, np.int32)


async def known(connection: AsyncConnection, machine_id: int, digest: str) -> Ids | None:
    """Return the ids of a plant that was registered before, None if it was not."""
    found = await connection.execute(
        "SELECT parameter_ids FROM plants WHERE machine_id = %s AND digest = %s",
        [machine_id, digest],
    )
    row = await found.fetchone()
    return None if row is None else np.array(row[0], np.int32)


async def _current(connection: AsyncConnection, machine_id: int) -> dict[str, Known]:
    found = await connection.execute(
        "SELECT name, id, data_type, unit, scale, value_offset FROM component_parameters "
        "WHERE machine_id = %s AND valid_to IS NULL",
        [machine_id],
    )
    return {
        name: Known(
            id=number, meaning=Meaning(data_type=kind, unit=unit, scale=scale, offset=offset)
        )
        for name, number, kind, unit, scale, offset in await found.fetchall()
    }


def _rest(
    signal: Signal, parameters: dict[str, Parameter], valve_numbers: dict[str, int]
) -> tuple[object, ...]:
    """Return what may change without changing the meaning."""
    parameter = parameters.get(signal.name)
    number = valve_numbers.get(signal.name)
    return (
        signal.component,
        parameter.description if parameter else f"valve number {number}",
        parameter.minimum if parameter else None,
        parameter.maximum if parameter else None,
        parameter.writable if parameter else False,
        signal.point.table.value,
        signal.point.address,
        signal.point.bit,
    )
