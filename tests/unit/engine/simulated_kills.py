"""Lives with one kill: the driver dies at one boundary, before or after a write to the record or to the PLC."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
from typing_extensions import override

from ald.program.model import Program
from ald.records.event import Event, RunEnded, RunStarted
from ald.wire import StartRun
from unit.engine import simulation
from unit.engine.programs import MS, order
from unit.engine.simulated_parts import Crash, FakeRecorder
from unit.engine.simulated_wire import WRITES, Wire
from unit.engine.simulation import Simulation, play

UID = str(uuid.UUID(int=77))
BOUNDARIES_MAX = 400
"""More than any of these recipes has; a search that does not end would be a bug of the test."""


class Killed(Simulation):
    """A life without any trouble but one kill, at the boundary with this number, counted while the run is on; `UID` is its run."""

    over_ms = 2800
    """When the run, killed or not, is long over."""

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
            (self.over_ms, self.ask_plant),
            (self.over_ms + 300, self._last_run),
            (self.over_ms + 1700, self.crash),
        ):
            self.at(self.start_ns + when_ms * MS, act)
        while self.now < self.start_ns + (self.over_ms + 1700) * MS:
            self._session()
        self.rules.judge()

    def program(self) -> Program:
        """Return what is run, by name of a valve in the keys of `widest_ns` with its longest opening."""
        raise NotImplementedError

    def _start(self) -> None:
        self.requests.append(StartRun(order=order(self.program(), UID)))
        self.is_armed = True


Life = TypeVar("Life", bound=Killed)


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


def lived(life_of: type[Life], boundary: int) -> Life:
    """Live once, killed at this boundary."""
    original = Wire.send
    with (
        mock.patch.object(simulation, "FakeRecorder", Recorder),
        mock.patch.object(Wire, "send", lambda wire, data: send(original, wire, data)),
    ):
        life = play(5, lambda seed, directory: life_of(seed, directory, boundary))
    assert isinstance(life, life_of)
    return life


def everywhere(life_of: type[Life], judge: Callable[[Life], None], *, step: int = 1) -> list[Life]:
    """Live killed at one boundary after another, and judge each life in which the run began, until one is not killed; return those.

    step: so many boundaries lie between two lives.
    """
    lives = []
    for boundary in range(0, BOUNDARIES_MAX, step):
        life = lived(life_of, boundary)
        if not any(isinstance(each, RunStarted) and each.run.uid == UID for each in life.journal):
            # Killed before its beginning was on record: it never was, and nothing of it was done.
            assert boundary == 0
            continue
        try:
            judge(life)
        except AssertionError as wrong:
            pytest.fail(f"killed at boundary {boundary}: {wrong}")
        lives.append(life)
        if not life.was_killed:
            return lives
    pytest.fail("the run never came to its end without a kill")


def attempts(life: Killed) -> int:
    """Return how often the run was begun or taken up."""
    return sum(isinstance(each, RunStarted) and each.run.uid == UID for each in life.journal)
