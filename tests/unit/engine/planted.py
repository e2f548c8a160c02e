"""Bugs planted into the driver, one at a time and in memory only, and the search for the first seed that finds each.

Run as a program it prints the rows of the table in docs/failures.md:

    PYTHONPATH=operator:tests python -m unit.engine.planted
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from msgspec.structs import replace

from ald.engine import (
    admission,
    course,
    interlock,
    leaf,
    obstacle,
    positions,
    pulse,
    purge,
    safety,
    safing,
    session,
    timed,
)
from ald.engine.effects import Journal, Write
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Fatal
from ald.gateway.driver import executor, readback
from ald.gateway.driver.station import Station
from ald.plant import timed_pulse
from ald.plc.leaving import Leaving
from ald.plc.link import Link
from ald.plc.unsettled import Finding
from ald.program import resume
from ald.records.event import PulseOpening, RunOutcome, StepStarted, WriteOutcome
from unit.engine.programs import MS
from unit.engine.simulated_parts import BrokenError
from unit.engine.simulation import play

SEEDS = 1000
"""A bug that this many seeds do not find is not found."""

NOTHING = interlock.Judgement(violated={}, tripped=(), satisfied=())

Plant = Callable[[], contextlib.AbstractContextManager[Any]]
PLANTED: dict[str, Plant] = {}


def planted(what: str) -> Callable[[Plant], Plant]:
    """Enter a bug under the words that docs/failures.md has for it."""

    def enter(plant: Plant) -> Plant:
        PLANTED[what] = plant
        return plant

    return enter


def wrapped(owner: Any, name: str, wrap: Callable[..., Any]) -> Any:
    """Have `wrap(original, *arguments)` called in place of `owner.name`."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        return wrap(original, *arguments, **named)

    return mock.patch.object(owner, name, call)


@planted("an opening leaves its group unexposed")
def unexposed() -> Any:
    def begin(original: Any, turn: Turn, leaf: Any) -> None:
        before = turn.state.exposures
        original(turn, leaf)
        turn.change(exposures=before)

    return wrapped(pulse, "begin", begin)


@planted("a purge counts as commanded, flowing or not")
def believed() -> Any:
    return mock.patch.object(purge, "_flow_good", return_value=True)


@planted("the rules are not asked before a write")
def unasked() -> Any:
    return mock.patch.object(safety, "violation", return_value="")


@planted("the link keeps what waited over a lost connection")
def kept() -> Any:
    def give_up(original: Any, link: Link, *arguments: Any) -> None:
        lanes, link._lanes = link._lanes, tuple(type(lane)() for lane in link._lanes)
        original(link, *arguments)
        link._lanes = lanes

    return wrapped(Link, "_give_up", give_up)


@planted("the link sends again what was never answered")
def resent() -> Any:
    def give_up(original: Any, link: Link, *arguments: Any) -> None:
        flying = list(link._in_flight.values())
        original(link, *arguments)
        for pending in flying:
            pending.sent_ns = None
            link._lanes[pending.lane].append(pending)

    return wrapped(Link, "_give_up", give_up)


@planted("a restart writes no whole safe state")
def half_safe() -> Any:
    def begin(original: Any, turn: Turn, reason: str, *, full: bool, latch: bool = False) -> None:
        original(turn, reason, full=full and reason != session.RESTARTED, latch=latch)

    return wrapped(safing, "begin", begin)


@planted("a new connection does not go on with the safe state")
def forgotten() -> Any:
    @contextlib.contextmanager
    def planting() -> Iterator[None]:
        link_up = session.link_up

        def silent(turn: Turn) -> None:
            with mock.patch.object(safing, "attempt"):
                link_up(turn)

        with mock.patch.object(session, "link_up", silent):
            yield

    return planting()


@planted("a kept valve stays open after a crash")
def left_open() -> Any:
    return mock.patch.object(session, "_maybe_open", return_value=frozenset())


@planted("the closing edge comes 100 ms late")
def late() -> Any:
    def wake_ns(original: Any, phase: Any) -> int | None:
        due_ns: int | None = original(phase)
        return None if due_ns is None else due_ns + 100 * MS

    return wrapped(pulse, "wake_ns", wake_ns)


@planted("an edge leaves as soon as it is decided")
def unawaited() -> Any:
    return mock.patch.object(executor.Executor, "_until")


@planted("a write that the PLC failed at counts as done whatever is read back")
def assumed() -> Any:
    return mock.patch.object(readback, "judge", return_value=Finding.CONFIRMED)


@planted("a pulse is done when its closing is answered, whatever becomes of its opening")
def half_answered() -> Any:
    def over(original: Any, turn: Turn, phase: Any) -> Any:
        is_opening = phase.closed_ack_ns and not phase.opened_ack_ns and not phase.error
        if not is_opening:
            return original(turn, phase)
        closed = (phase.closed_sent_ns, phase.closed_ack_ns)
        pulse.record(turn, phase, closed, WriteOutcome.CONFIRMED, is_whole=True)
        open_ns = phase.leaf.open_ns
        return Done(due_ns=turn.run.due_ns + open_ns, nominal_ns=open_ns)

    return wrapped(pulse, "_over", over)


@planted("what an interlock says of the plant goes unnoticed")
def unlocked() -> Any:
    return mock.patch.object(interlock, "judge", return_value=NOTHING)


@planted("a step that fails in the cleanup stays under way")
def unended() -> Any:
    def failed(original: Any, turn: Turn, error: str) -> Any:
        if turn.run.in_cleanup:
            return Fatal(outcome=RunOutcome.STEP_FAILED, message=error)
        return original(turn, error)

    return wrapped(course, "_failed", failed)


@planted("an opening is not put on record")
def unrecorded() -> Any:
    def journal(original: Any, turn: Turn, event: Any) -> None:
        if not isinstance(event, PulseOpening):
            original(turn, event)

    return wrapped(Turn, "journal", journal)


@planted("a step is put on record after its first write")
def recorded_late() -> Any:
    def step(original: Any, state: Any, given: Any) -> Any:
        now, effects = original(state, given)
        begun = [e for e in effects if isinstance(e, Journal) and isinstance(e.event, StepStarted)]
        if not begun or not any(isinstance(e, Write) for e in effects):
            return now, effects
        return now, tuple(e for e in effects if e not in begun)

    return wrapped(executor, "step", step)


@planted("the uids of started runs are forgotten at a restart")
def unlearned() -> Any:
    def started(original: Any, turn: Turn, given: Any) -> None:
        original(turn, replace(given, started_uids=()))

    return wrapped(session, "started", started)


@planted("the safe state takes no waiting write back")
def untaken() -> Any:
    return mock.patch.object(Station, "cancel", return_value=None)


@planted("a connection lost and made again between two looks is not noticed")
def unnoticed() -> Any:
    def link_lost(original: Any, station: Station, now_ns: int) -> Any:
        station._connects = station._link.counters.connects
        yield from original(station, now_ns)

    return wrapped(Station, "_link_lost", link_lost)


@planted("a safe state counts as confirmed when its first write is")
def hasty() -> Any:
    def answered(original: Any, turn: Turn, answer: Any) -> bool:
        original(turn, answer)
        return True

    def confirmed(_: Any, turn: Turn) -> bool:
        safe = turn.state.safing
        return safe is not None and any(w.outcome is WriteOutcome.CONFIRMED for w in safe.writes)

    @contextlib.contextmanager
    def planting() -> Iterator[None]:
        with wrapped(safing, "answered", answered), wrapped(safing, "confirmed", confirmed):
            yield

    return planting()


@planted("a valve that somebody else moved goes unnoticed")
def unseen() -> Any:
    return mock.patch.object(positions, "mismatch", return_value="")


@planted("a run goes on although the PLC refuses the heartbeat")
def unwatched() -> Any:
    def found(original: Any, state: Any) -> Any:
        return original(replace(state, watchdog_ok=True))

    return wrapped(obstacle, "found", found)


@planted("a run goes on beside another master")
def shared() -> Any:
    def found(original: Any, state: Any) -> Any:
        return original(replace(state, is_foreign=False))

    return wrapped(obstacle, "found", found)


@planted("a refused opening counts as a pulse")
def uncounted() -> Any:
    def ended(original: Any, turn: Turn, error: str) -> None:
        original(turn, error)
        turn.change_run(pulses=turn.run.pulses + bool(error))

    return wrapped(leaf, "ended", ended)


@planted("the safe state leaves a trigger set")
def left_set() -> Any:
    def plan_valves(original: Any, *arguments: Any) -> Any:
        planned = original(*arguments)
        return [each for each in planned if not each.names[0].endswith(safing.TRIGGER_SUFFIX)]

    return wrapped(safing, "plan_valves", plan_valves)


@planted("a pulse that the PLC has not ended counts as done")
def impatient() -> Any:
    def look_again(_: Any, turn: Turn, phase: Any, found: Any, *__: Any) -> Any:
        return timed._done(turn, phase, found.acked_ns)

    return wrapped(timed, "_look_again", look_again)


@planted("a run that is taken up does the cycle again that was cut short")
def repeated() -> Any:
    def begun_in(original: Any, program: Any, around: Any, index: int, plant: Any) -> Any:
        return original(program, around, around[-1].index + 1 if around else index, plant)

    return wrapped(resume, "begun_in", begun_in)


@planted("another attempt counts its steps from the beginning")
def recounted() -> Any:
    def counting_on(original: Any, run: Any, before: Any) -> Any:
        return replace(original(run, before), begun=0)

    return wrapped(admission, "_counting_on", counting_on)


@planted("a width that somebody changed goes unnoticed")
def unchecked() -> Any:
    def width_checked(original: Any, turn: Turn, phase: Any, found: Any) -> Any:
        words = timed_pulse.words_of(timed._valve(turn, phase)[1], phase.leaf.open_ns)
        return original(turn, phase, replace(found, values=words))

    return wrapped(timed, "_width_checked", width_checked)


@planted("an abort leaves what the kernel has not begun to take")
def left_in_the_stream() -> Any:
    return mock.patch.object(Leaving, "withdraw", return_value=[])


def finds(what: str, seed: int) -> bool:
    """Tell whether this seed finds that bug."""
    with PLANTED[what]():
        try:
            play(seed)
        except BrokenError:
            return True
        except AssertionError:
            # The driver's own checks found it.
            return True
    return False


def first_seed(what: str, seeds: int = SEEDS) -> int | None:
    """Return the first seed that finds the bug, None for none of so many."""
    return next((seed for seed in range(seeds) if finds(what, seed)), None)


def main() -> None:
    for what in PLANTED:
        print(f"| {what} | {first_seed(what)} |", flush=True)  # noqa: T201 -- a table for the docs


if __name__ == "__main__":
    main()
