"""Lives of a machine drawn from seeds: whatever is lost, late or killed, no rule is broken at the valves or on record."""

import pytest

from unit.engine.simulated_parts import BrokenError
from unit.engine.simulation import again, play

SEEDS = 200


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_lost_late_or_killed_no_rule_is_broken(seed):
    try:
        play(seed)
    except BrokenError as broken:
        pytest.fail(f"seed {seed}: {broken}\nagain: {again(seed)}", pytrace=False)
