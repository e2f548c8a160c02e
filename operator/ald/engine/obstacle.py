"""What keeps a run from going past a hold point: the end of a step, where every valve is shut and nothing is under way."""

import msgspec

from ald.engine import interlock
from ald.engine.state import State
from ald.plant.model import InterlockAction
from ald.program.model import Leaf, Pulse, Together
from ald.units import format_duration

SCAN_GAP = "ScanGap"
INTERLOCK = "Interlock"


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


def before(state: State, leaf: Leaf | Together, at_ns: int) -> Obstacle | None:
    """Return what stands in the way of this leaf now, None for nothing: also what no run that starts is asked for here."""
    known = found(state)
    if known is not None:
        return known
    gap = unseen(state, at_ns)
    if gap is not None:
        return gap
    actions = (InterlockAction.HOLD, InterlockAction.BLOCK)
    held = actions if isinstance(leaf, Pulse) else actions[:1]
    for _, message in interlock.standing(state, *held):
        return Obstacle(reason=INTERLOCK, message=message)
    return None


def unseen(state: State, at_ns: int) -> Obstacle | None:
    """Return that the last scan is too old to be believed, None while it is not."""
    if state.layout is None or not interlock.is_stale(state, at_ns):
        return None
    gap = format_duration(state.layout.plant.max_scan_gap_ns)
    message = f"no scan has succeeded for {gap} (maxScanGap); the run goes on after the next one"
    return Obstacle(reason=SCAN_GAP, message=message)


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
