import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ald.plant.model import ExclusionGroup
from ald.program.model import EndLoop, Instruction, Loop, Pulse, Purge, Wait
from ald.program.verify import verify
from unit.program.reactors import MS, PLANT

MINIMUM_NS = 250 * MS
A, B, C, VENT = "tma", "water", "ozone", "vent"


def pulse(valve):
    return ("pulse", valve)


def purge(ms, gas="N2", flow=20.0):
    return ("purge", ms, gas, flow)


def loop(count, *body):
    return ("loop", count, list(body))


def linear(steps, path="steps", begin=0, depth=0):
    """Return instructions of a tree of steps, as the compiler lays them out."""
    found: list[Instruction] = []
    for index, (kind, *rest) in enumerate(steps):
        place: dict[str, Any] = {"path": f"{path}[{index}]", "name": f"{kind}-{index}"}
        if kind == "pulse":
            found.append(Pulse(**place, valve=rest[0], open_ns=MS))
        elif kind == "purge":
            found.append(Purge(**place, duration_ns=rest[0] * MS, gas=rest[1], flow=rest[2]))
        elif kind == "wait":
            found.append(Wait(**place, duration_ns=MS))
        else:
            at = begin + len(found)
            body = linear(rest[1], f"{path}[{index}]", at + 1, depth + 1)
            end = at + 1 + len(body)
            found += [Loop(**place, count=rest[0], depth=depth, end=end), *body, EndLoop(begin=at)]
    return found


def proof(steps, cleanup=(), plant=PLANT):
    before = linear(steps)
    return verify(before + linear(cleanup, "cleanup", len(before)), len(before), plant)


def faults(steps, cleanup=(), plant=PLANT):
    return [violation.path for violation in proof(steps, cleanup, plant).violations]


class Oracle:
    """The rules, step by step, with every loop unrolled and no cleverness."""

    def __init__(self, groups):
        self.groups = groups
        self.faults = set()
        self.smallest: dict[str, int | None] = {group.name: None for group in groups}

        self.opened: set[str] = set()

    def start(self):
        self.before = frozenset(self.opened)
        self.last = {group.name: None for group in self.groups}
        self.purged = {group.name: 0 for group in self.groups}

    def run(self, instructions, offset=0):
        at = 0
        counters: dict[int, int] = {}
        while at < len(instructions):
            each = instructions[at]
            if isinstance(each, EndLoop):
                begin = each.begin - offset
                counters[begin] = counters.get(begin, 0) + 1
                if counters[begin] < instructions[begin].count:
                    at = begin + 1
                    continue
                counters[begin] = 0
            elif isinstance(each, Purge):
                self.purge(each)
            elif isinstance(each, Pulse):
                self.pulse(each)
            at += 1

    def purge(self, each):
        for group in self.groups:
            if each.gas in group.purge_gases and each.flow >= group.minimum_flow:
                self.purged[group.name] += each.duration_ns

    def pulse(self, each):
        for group in self.groups:
            if each.valve not in group.valves:
                continue
            name, purged = group.name, self.purged[group.name]
            if self.last[name] != each.valve:
                if purged < group.minimum_purge_ns:
                    self.faults.add(each.path)
                others = self.before.intersection(group.valves) - {each.valve}
                # The cleanup may follow whichever of the steps was the last.
                if self.last[name] is not None or others:
                    known = self.smallest[name]
                    self.smallest[name] = purged if known is None else min(known, purged)
            self.last[name], self.purged[name] = each.valve, 0
        self.opened.add(each.valve)


LEAVES = st.one_of(
    st.sampled_from([A, B, C, VENT]).map(pulse),
    st.sampled_from([0, 50, 125, 250]).map(purge),
    st.just(purge(250, flow=14.0)),
    st.just(purge(250, gas="Ar")),
    st.just(("wait",)),
)


def trees(depth):
    if depth == 0:
        return st.lists(LEAVES, max_size=4)
    loops = st.builds(loop_of, st.integers(1, 3), trees(depth - 1).filter(bool))
    return st.lists(st.one_of(LEAVES, loops), max_size=4)


def loop_of(count, body):
    return ("loop", count, body)


TWO_GROUPS = msgspec.structs.replace(
    PLANT,
    groups=(
        *PLANT.groups,
        ExclusionGroup(
            name="second",
            valves=(C, VENT),
            purge_gases=("N2", "Ar"),
            minimum_purge_ns=100 * MS,
            minimum_flow=10.0,
        ),
    ),
)


@pytest.mark.requirement("REC-01")
@given(steps=trees(3), cleanup=trees(1))
@settings(max_examples=600)
def test_the_proof_finds_exactly_what_running_every_iteration_finds(steps, cleanup):
    before = linear(steps)
    after = linear(cleanup, "cleanup", len(before))
    found = verify(before + after, len(before), TWO_GROUPS)
    oracle = Oracle(TWO_GROUPS.groups)
    for part, offset in ((before, 0), (after, len(before))):
        oracle.start()
        oracle.run(part, offset)
    assert {violation.path for violation in found.violations} == oracle.faults
    assert {s.group: s.smallest_purge_ns for s in found.separations} == oracle.smallest


def first_purge_needed(text):
    """Return the milliseconds of purge that a violation asks for."""
    return int(text.split("at least ")[1].split("ms")[0])


@given(steps=trees(2), cleanup=trees(1))
@settings(max_examples=300)
def test_adding_the_purges_that_the_violations_ask_for_makes_the_program_provable(steps, cleanup):
    before = linear(steps)
    instructions = before + linear(cleanup, "cleanup", len(before))
    found = verify(instructions, len(before), PLANT)
    needed = {v.path: first_purge_needed(v.hint) for v in found.violations}
    tree = insert(steps, "steps", needed)
    after = insert(cleanup, "cleanup", needed)
    assert faults(tree, after) == []


def insert(steps, path, needed):
    result = []
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if here in needed:
            result.append(purge(needed[here]))
        result.append(
            ("loop", step[1], insert(step[2], here, needed)) if step[0] == "loop" else step
        )
    return result


def test_the_first_opening_needs_a_purge_since_nobody_knows_what_was_open_before():
    assert faults([purge(250), pulse(A)]) == []
    (violation,) = proof([purge(200), pulse(A)]).violations
    assert violation.path == "steps[1]"
    assert "nobody knows which of its valves was open last; only 200ms count" in violation.rule
    assert (
        violation.hint == "add a purge of N2 of at least 50ms with flow >= 15 sccm before this step"
    )


def test_two_valves_need_the_minimum_between_them_and_one_valve_may_open_again():
    assert faults([purge(250), pulse(A), purge(250), pulse(B)]) == []
    assert faults([purge(250), pulse(A), pulse(A), purge(249), pulse(B)]) == ["steps[4]"]


@pytest.mark.parametrize(
    "weak", [purge(250, flow=14.9), purge(250, gas="Ar"), ("wait",), pulse(VENT)]
)
def test_other_steps_do_not_count_as_purge(weak):
    assert faults([weak, pulse(A)]) == ["steps[1]"]


def test_purges_in_pieces_and_in_loops_add_up():
    assert faults([purge(125), ("wait",), pulse(VENT), purge(125), pulse(A)]) == []
    assert faults([loop(5, purge(50)), pulse(A)]) == []
    assert faults([loop(4, purge(50)), pulse(A)]) == ["steps[1]"]


def test_the_seam_between_two_iterations_is_proven_too():
    body = (pulse(A), purge(250), pulse(B))
    assert faults([purge(250), loop(1, *body)]) == []
    (violation,) = proof([purge(250), loop(2, *body)]).violations
    assert violation.path == "steps[1][0]"
    assert "follows valve water, in the next iteration of loop-1" in violation.rule


def test_an_opening_with_several_weak_seams_asks_for_the_longest_purge():
    (violation,) = proof([purge(200), loop(2, pulse(A), purge(250), pulse(B))]).violations
    assert "at least 250ms" in violation.hint


@pytest.mark.requirement("REC-01")
def test_the_cleanup_starts_from_the_worst_case_whatever_came_before():
    steps = [purge(250), pulse(A), purge(1000)]
    assert faults(steps, [pulse(A)]) == ["cleanup[0]"]
    assert faults(steps, [purge(250), pulse(A)]) == []


def test_violations_come_in_the_order_of_the_program():
    steps = [pulse(B), loop(2, pulse(A), pulse(B))]
    assert faults(steps) == ["steps[0]", "steps[1][0]", "steps[1][1]"]


def test_an_opening_longer_than_the_valve_allows_is_refused_a_second_time_here():
    plenty = Purge(path="p", name="p", gas="N2", flow=20.0, duration_ns=MINIMUM_NS)
    long = Pulse(path="q", name="q", valve=C, open_ns=1001 * MS)
    (violation,) = verify([plenty, long], 2, PLANT).violations
    assert violation.path == "q.valve.open"
    assert "at most 1s" in violation.rule
    (unknown,) = verify([msgspec.structs.replace(long, valve="x")], 1, PLANT).violations
    assert unknown.path == "q.valve.valve"


def test_the_separation_names_the_smallest_purge_and_where_it_is():
    (found,) = proof([purge(250), pulse(A), purge(400), pulse(B), purge(300), pulse(C)]).separations
    assert (found.group, found.smallest_purge_ns, found.path) == (
        "precursors",
        300 * MS,
        "steps[5]",
    )
    (none,) = proof([purge(250), loop(9, pulse(A), purge(10))]).separations
    assert none.smallest_purge_ns is None


def test_a_long_program_with_large_loops_is_proven_in_well_under_a_second():
    cycle = (pulse(A), purge(250), pulse(B), purge(250))
    steps = [purge(250), loop(1_000_000, *[loop(1_000_000, *cycle) for _ in range(1200)])]
    instructions = linear(steps)
    start = time.thread_time()
    assert verify(instructions, len(instructions), PLANT).violations == ()
    assert time.thread_time() - start < 1.0
