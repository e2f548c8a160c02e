"""What people may ask for in each state: every pair of the table, twice, and any sequence of them at any time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.engine.inputs import AbortAsked, ActionAsked, ClearAsked, RunGiven, SafeStateAsked
from ald.engine.transitions import Answer, Request, answer
from ald.errors import RefusedError
from ald.records.event import (
    MachineState,
    PulseOpening,
    RunEnded,
    RunOutcome,
    RunStarted,
    StepStarted,
)
from ald.wire import RunAction
from unit.engine.programs import MS, UID, S, assign, compiled, loop, order, purge, valve, wait
from unit.engine.world import World

ACTIONS = {
    Request.PAUSE: RunAction.PAUSE,
    Request.RUN: RunAction.RUN,
    Request.STOP: RunAction.STOP,
}
STEPS = (
    purge(300),
    loop(3, valve("tma", 40), purge(300), valve("water", 25), wait(200), purge(300)),
)
UIDS = [f"{n:032x}" for n in range(1, 40)]

LEADS_TO = {
    ("Idle", "start"): "Execute",
    ("Execute", "pause"): "Held",
    ("Held", "run"): "Execute",
    ("Held", "stop"): "Execute",
} | {
    (state, request): "Aborting"
    for state in ("Stopped", "Idle", "Execute", "Held", "Completing")
    for request in ("abort", "safe-state")
    if (state, request) not in (("Stopped", "abort"), ("Idle", "abort"))
} | {("Aborted", "clear"): "Idle"}  # fmt: skip


def ask(world: World, request: Request, uid: str = UID) -> None:
    at_ns = world.now
    match request:
        case Request.START:
            steps = compiled(*STEPS, cleanup=(assign(25.0), wait(100)))
            world.give(RunGiven(at_ns=at_ns, order=order(steps, uid)))
        case Request.ABORT:
            world.give(AbortAsked(at_ns=at_ns, uid=uid, by="anna", reason="r"))
        case Request.SAFE_STATE:
            world.give(SafeStateAsked(at_ns=at_ns, by="anna", comment="c"))
        case Request.CLEAR:
            world.give(ClearAsked(at_ns=at_ns, by="anna", comment="c"))
        case _:
            action = ACTIONS[request]
            world.give(ActionAsked(at_ns=at_ns, uid=uid, action=action, by="anna", reason="r"))


def stopped() -> World:
    world = World().ready()
    world.disconnect()
    return world


def running() -> World:
    return World().ready().start(wait(1000), wait(1000), cleanup=(wait(1000),)).run_for(100 * MS)


def held() -> World:
    world = running()
    ask(world, Request.PAUSE)
    return world


def aborting() -> World:
    world = running()
    ask(world, Request.ABORT)
    return world


def aborted() -> World:
    world = World().ready()
    ask(world, Request.SAFE_STATE)
    return world.run_for(100 * MS)


IN_STATE = {
    MachineState.STOPPED: stopped,
    MachineState.IDLE: lambda: World().ready(),
    MachineState.EXECUTE: running,
    MachineState.HELD: held,
    MachineState.COMPLETING: lambda: running().run_for(2 * S),
    MachineState.ABORTING: aborting,
    MachineState.ABORTED: aborted,
}


@pytest.mark.requirement("REC-03")
@pytest.mark.parametrize("state", MachineState)
@pytest.mark.parametrize("request_", Request)
def test_each_request_in_each_state_comes_to_what_the_table_says_and_the_second_time_as_well(
    state, request_
):
    world = IN_STATE[state]()
    for new_uid in ("a" * 32, "b" * 32):
        before, events = world.state, len(world.journal)
        uid = new_uid if request_ is Request.START else UID
        present = before.machine
        said = answer(present, request_)
        if said is Answer.REFUSE:
            with pytest.raises(RefusedError):
                ask(world, request_, uid)
        else:
            ask(world, request_, uid)
        if said is not Answer.OBEY:
            assert world.state == before
            assert len(world.journal) == events
        expected = LEADS_TO.get((present.value, request_.value), present.value)
        assert world.machine == expected


@pytest.mark.parametrize("request_", [Request.ABORT, *ACTIONS])
@pytest.mark.parametrize("state", MachineState)
def test_a_request_that_means_another_run_changes_nothing(state, request_):
    world = IN_STATE[state]()
    before = world.state
    ask(world, request_, "c" * 32)
    assert world.state == before


class Person:
    """Asks for things, and keeps what of it each run was told."""

    def __init__(self) -> None:
        self.world = World().ready()
        self.told: dict[str, set[Request]] = {}
        self.last = ""

    def ask(self, request: Request) -> None:
        state = self.world.state
        said = answer(state.machine, request)
        if request is Request.START and said is Answer.OBEY:
            self.last = UIDS[len(self.told)]
            self.told[self.last] = set()
        elif state.run is not None and said is Answer.OBEY:
            self.told[self.last].add(request)
        if said is Answer.REFUSE:
            with pytest.raises(RefusedError):
                ask(self.world, request, "f" * 32)
        else:
            ask(self.world, request, self.last)

    def expected(self, uid: str) -> set[RunOutcome]:
        if self.told[uid] & {Request.ABORT, Request.SAFE_STATE}:
            return {RunOutcome.ABORTED}
        if Request.STOP in self.told[uid]:
            return {RunOutcome.STOPPED, RunOutcome.COMPLETED}
        return {RunOutcome.COMPLETED}


@pytest.mark.requirement("REC-03")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(Request), st.sampled_from([0, 1, 7, 45, 120, 700])),
        max_size=14,
    )
)
def test_whatever_is_asked_in_whatever_order_each_run_ends_once_and_as_it_was_told(asked):
    person = Person()
    world = person.world
    for request, after_ms in [(Request.START, 50), *asked]:
        person.ask(request)
        world.run_for(after_ms * MS)
        assert len(world.open_valves) <= (0 if world.machine == "Held" else 1)
    person.ask(Request.RUN)
    world.run_for(10 * S)
    ends = world.events(RunEnded)
    assert [e.run for e in ends] == [e.run.uid for e in world.events(RunStarted)]
    assert {e.run for e in ends} == set(person.told)
    assert all(e.outcome in person.expected(e.run) for e in ends)
    assert not world.open_valves
    assert len(world.events(PulseOpening)) == len(world.pulses)
    begun = [(e.run, e.ordinal) for e in world.events(StepStarted)]
    assert len(begun) == len(set(begun))
