"""Lives of a machine drawn from seeds: whatever is lost, late or killed, no rule is broken at the valves or on record."""

import pytest

from unit.engine.simulated_parts import BrokenError
from unit.engine.simulation import play

SEEDS = 200


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_lost_late_or_killed_no_rule_is_broken(seed):
    try:
        play(seed)
    except BrokenError as broken:
        command = f"python -m pytest 'tests/unit/engine/test_simulation.py::{NAME}[{seed}]'"
        pytest.fail(f"seed {seed}: {broken}\nagain: {command}", pytrace=False)


NAME = test_whatever_is_lost_late_or_killed_no_rule_is_broken.__name__
