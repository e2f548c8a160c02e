"""Why a machine cannot take a run now. Pure."""

from __future__ import annotations

from ald.controller.decide_machine import (
    FOREIGN_MASTER,
    NO_WATCHDOG,
    interlocks,
    lacks_watchdog,
)
from ald.controller.readiness import unready
from ald.controller.views import BUSY, Situation
from ald.plant.model import Mode
from ald.records.event import MachineState


def obstacle_to_a_run(situation: Situation) -> str:
    """Return why the machine cannot take a run now, in plain words, or nothing."""
    reach, driver, plant = situation.reach, situation.reach.driver, situation.plant
    if reach.status is None:
        return f"The gateway does not answer: {reach.message}."
    if driver is None or plant is None:
        if reach.status.waiting_for:
            return f"The gateway waits until {reach.status.waiting_for} has let go of the PLC."
        return "The gateway's driver does not answer yet."
    obstacles = (
        (
            driver.state is MachineState.ABORTED,
            "The machine is Aborted: look at it, then apply a MachineAction with verb: Clear.",
        ),
        (situation.template_waits, "The gateway is being replaced by its new version."),
        (not driver.link.connected, f"No connection to the PLC: {driver.link.message}."),
        (not reach.status.journal_ok, f"The journal fails: {reach.status.journal_message}."),
        (driver.state in BUSY, f"The machine is busy: {driver.state.value}."),
        (not situation.is_current, "The gateway has not taken over the machine's spec yet."),
        (plant.mode is Mode.OBSERVE, "The machine's mode is Observe; set spec.mode: Control."),
        (lacks_watchdog(plant), NO_WATCHDOG),
        (not driver.safe_confirmed, "The PLC has not confirmed the valves' positions."),
        (bool(driver.interlocks.tripped), interlocks(driver)),
        (bool(driver.readiness.missing), unready(driver)),
        (
            driver.state is not MachineState.IDLE,
            f"The machine is {driver.state.value}: {driver.message or 'not idle yet'}.",
        ),
        (driver.foreign_master, FOREIGN_MASTER),
        (
            plant.heartbeat is not None
            and not driver.watchdog
            and not plant.allow_without_watchdog,
            "The PLC has not acknowledged the last heartbeat.",
        ),
    )
    return next((message for applies, message in obstacles if applies), "")
