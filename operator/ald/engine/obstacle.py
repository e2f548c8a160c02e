"""What keeps a run from going past a hold point: the end of a step, where every valve is shut and nothing is under way."""

import msgspec

from ald.engine.state import State


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run may not go on: `reason` one word, `message` for people."""

    reason: str
    message: str


RECORD_FULL = Obstacle(
    reason="RecordFull",
    message="events find no room on record; the front does not read them",
)
FOREIGN_MASTER = Obstacle(
    reason="ForeignMaster",
    message="somebody else writes the heartbeat register: another gateway, or a program on the PLC. "
    "Two masters may open two valves; find the other one and stop it",
)
WATCHDOG_LOST = Obstacle(
    reason="WatchdogLost",
    message="the PLC has not acknowledged the heartbeat within its timeout, or has refused it: it does "
    "not notice if the gateway dies, and shuts the valves by itself",
)


def found(state: State) -> Obstacle | None:
    """Return what stands in the way now, None for nothing."""
    if not state.record_ok:
        return RECORD_FULL
    plant = state.layout.plant if state.layout is not None else None
    if plant is None or plant.heartbeat is None:
        return None
    if state.is_foreign:
        return FOREIGN_MASTER
    if not state.watchdog_ok and not plant.allow_without_watchdog:
        return WATCHDOG_LOST
    return None
