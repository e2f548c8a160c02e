"""Valves as commanded against valves as read: one that the PLC, or a hand on it, has moved is noticed in the next scan.

A valve is compared only where both sides are certain: its last write was acknowledged, no other is on its way, the scan
began a cycle of the PLC after the acknowledgement, and the reading is good. A bad reading says nothing, neither good nor
ill. A valve that nobody here has written, because the safe state keeps it, has no commanded position.

A valve that the PLC shuts by itself is compared up to the time at which it may do so.

A pulse between two scans is seen by neither, so scans rarer than pulses find what lasts, not what passes.
"""

from ald.engine import reading
from ald.engine.layout import VALVE_PREFIX
from ald.engine.state import Known, Pulsing, State, phases


def mismatch(state: State) -> str:
    """Return which valve is not where it was commanded to be, in plain words; empty while none is known to be."""
    if state.scan is None or state.layout is None or state.safing is not None:
        return ""
    shown_ns = state.scan.started_ns - state.layout.plant.link.cycle_ns
    for name in state.layout.valves:
        commanded = _commanded(state, name)
        if commanded is None or shown_ns <= commanded.acked_ns:
            continue
        found = reading.good(state, VALVE_PREFIX + name)
        if found is not None and found != commanded.value:
            return _sentence(name, is_open=found != 0.0)
    return ""


def _commanded(state: State, valve: str) -> Known | None:
    """Return the position last acknowledged, None where there is none or another is on its way."""
    if valve not in state.open_valves:
        return state.written.get(VALVE_PREFIX + valve)
    pulses = (p for p in phases(state.run) if isinstance(p, Pulsing)) if state.run else ()
    phase = next((p for p in pulses if p.leaf.valve == valve), None)
    if phase is None or not phase.opened_ack_ns or phase.close_token is not None:
        return None
    if phase.timer is None:
        return Known(value=1.0, acked_ns=phase.opened_ack_ns)
    assert state.scan is not None and state.layout is not None, "they were looked at"  # noqa: PT018 -- both or none
    cycle_ns = state.layout.plant.link.cycle_ns
    if state.scan.ended_ns >= phase.opened_sent_ns + phase.leaf.open_ns - cycle_ns:
        # The PLC may have shut it meanwhile, and is asked about it by the pulse.
        return None
    # It sees the trigger in one cycle, and opens the valve in the next.
    return Known(value=1.0, acked_ns=phase.opened_ack_ns + cycle_ns)


def _sentence(valve: str, *, is_open: bool) -> str:
    if is_open:
        return (
            f"valve {valve} reads open, and the PLC has acknowledged that it is shut: "
            "something else moved it. Look at the PLC's program and its panel"
        )
    return (
        f"valve {valve} reads shut, and the PLC has acknowledged that it is open: something else "
        "moved it. Look at the PLC's watchdog, its program and its panel"
    )
