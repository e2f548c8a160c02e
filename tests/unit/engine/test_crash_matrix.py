"""The driver killed before and after every write to the record and every write to the PLC of a small recipe, one life for each."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typing_extensions import override

from ald.records.event import (
    Event,
    PulseDone,
    RunEnded,
    RunOutcome,
    RunStarted,
    SessionStarted,
    StepEnded,
    StepStarted,
)
from ald.wire import StartRun
from unit.engine import simulation
from unit.engine.programs import MS, assign, compiled, flow, order, purge, together, valve, wait
from unit.engine.simulated_parts import Crash, FakeRecorder
from unit.engine.simulated_wire import WRITES, Wire
from unit.engine.simulation import Simulation, play

UID = str(uuid.UUID(int=77))
BOUNDARIES_MAX = 400
"""More than the recipe has; a search that does not end would be a bug of this test."""


class Killed(Simulation):
    """A life without any trouble but one kill, at the boundary with this number, counted while the run is on."""

    def __init__(self, seed: int, directory: Path, boundary: int) -> None:
        super().__init__(seed, directory)
        self.left = boundary
        self.is_armed = False
        self.was_killed = False

    @property
    @override
    def is_calm(self) -> bool:
        return True

    def pass_boundary(self) -> None:
        """Die here, if this is the place."""
        if not self.is_armed or self.was_killed:
            return
        if not self.left:
            self.was_killed = True
            self.trouble()
            raise Crash
        self.left -= 1

    @override
    def play(self) -> None:
        for when_ms, act in (
            (300, self.ask_plant),
            (650, self._start),
            (2800, self.ask_plant),
            (3100, self._last_run),
            (4500, self.crash),
        ):
            self.at(self.start_ns + when_ms * MS, act)
        while self.now < self.start_ns + 4500 * MS:
            self._session()
        self.rules.judge()

    def _start(self) -> None:
        made = compiled(
            assign(50.0),
            purge(260, 30.0),
            together([valve("tma", 40), purge(260)], [valve("vent", 60), wait(20)]),
            valve("water", 30),
            cleanup=[flow(5.0)],
            plant=self.plant,
        )
        self.widest_ns.update({"tma": 40 * MS, "vent": 60 * MS, "water": 30 * MS})
        self.requests.append(StartRun(order=order(made, UID)))
        self.is_armed = True


class Recorder(FakeRecorder):
    """Kills before the events of a step are published, and after."""

    @override
    def events(self, events: Sequence[Event]) -> bool:
        life = self.sim
        assert isinstance(life, Killed)
        life.pass_boundary()
        is_recorded = super().events(events)
        life.pass_boundary()
        if any(isinstance(event, RunEnded) for event in events):
            life.is_armed = False
        return is_recorded


def send(original: Any, wire: Any, data: bytes) -> Any:
    """Kill before a write leaves, and after."""
    is_write = len(data) > 7 and data[7] in WRITES
    if is_write:
        wire.sim.pass_boundary()
    left = original(wire, data)
    if is_write:
        wire.sim.pass_boundary()
    return left


def lived(boundary: int) -> Killed:
    """Live once, killed at this boundary."""
    original = Wire.send
    with (
        mock.patch.object(simulation, "FakeRecorder", Recorder),
        mock.patch.object(Wire, "send", lambda wire, data: send(original, wire, data)),
    ):
        life = play(5, lambda seed, directory: Killed(seed, directory, boundary))
    assert isinstance(life, Killed)
    return life


def judge(life: Killed) -> None:
    """The end of the run is on record once, at the place where it was, and says how far it had come."""
    journal = life.journal
    (ended,) = [each for each in journal if isinstance(each, RunEnded) and each.run == UID]
    at = journal.index(ended)
    if not life.was_killed or ended.outcome is RunOutcome.COMPLETED:
        assert ended.outcome is RunOutcome.COMPLETED
        return
    assert ended.outcome is RunOutcome.GATEWAY_RESTARTED
    again = max(i for i, each in enumerate(journal[:at]) if isinstance(each, SessionStarted))
    before = [each for each in journal[:again] if getattr(each, "run", "") == UID]
    begun = [each for each in before if isinstance(each, StepStarted)]
    done = [each for each in before if isinstance(each, StepEnded) and not each.error]
    whole = [each for each in before if isinstance(each, PulseDone)]
    found = [each for each in journal[again:at] if isinstance(each, PulseDone)]
    number = begun[-1].ordinal if begun else 0
    assert f"was number {number}," in ended.message
    assert (ended.leaves_done, ended.pulses) == (len(done), len(whole) + len(found))
    closed = {each.ordinal for each in journal[again:at] if isinstance(each, StepEnded)}
    over = {each.ordinal for each in before if isinstance(each, StepEnded)}
    assert closed == {each.ordinal for each in begun} - over


@pytest.mark.requirement("RC-03")
def test_wherever_the_driver_is_killed_the_next_one_knows_exactly_how_far_the_run_was():
    outcomes = []
    for boundary in range(BOUNDARIES_MAX):
        life = lived(boundary)
        if not any(isinstance(each, RunStarted) and each.run.uid == UID for each in life.journal):
            # Killed before its beginning was on record: it never was, and nothing of it was done.
            assert boundary == 0
            continue
        judge(life)
        outcomes.append(life.was_killed)
        if not life.was_killed:
            break
    assert outcomes[-1] is False
    assert len(outcomes) > 40
