"""A branch seen as if it were the run, and nothing of it left behind."""

from ald.engine import branch
from ald.engine.turn import Turn
from unit.engine.programs import MS, purge, together, valve, wait
from unit.engine.world import World


def turn_of(world):
    return Turn(world.state, world.now)


def started():
    world = World().ready().start(purge(300), together([wait(500)], [valve("vent", 400)]))
    return world.run_for(400 * MS)


def test_within_a_branch_the_run_looks_like_that_branch():
    turn = turn_of(started())
    seen = []

    def look():
        seen.append((turn.run.leaf, turn.run.phase, turn.run.ordinal, turn.run.index))

    branch.within(turn, 1, look)
    each = turn.run.branches[1]
    assert seen == [(each.leaf, each.phase, 3, each.index)]


def test_outside_the_run_is_as_it_was():
    turn = turn_of(started())
    before = turn.run
    branch.within(turn, 0, lambda: None)
    assert turn.run == before


def test_what_changes_within_stays_with_the_branch_and_lateness_is_not_counted_twice():
    turn = turn_of(started())
    before = turn.run
    branch.within(turn, 0, lambda: turn.change_run(due_ns=7, slip_ns=9, phase=None, pulses=5))
    assert (turn.run.branches[0].due_ns, turn.run.branches[0].phase) == (7, None)
    assert (turn.run.due_ns, turn.run.slip_ns, turn.run.pulses) == (before.due_ns, 0, 5)
    assert [number for number, _ in branch.under_way(turn.run)] == [1]
