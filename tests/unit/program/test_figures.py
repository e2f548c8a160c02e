"""Which figures of a program can be worked with. That a run with others is refused: `engine/test_admission.py`."""

import math

import pytest
from msgspec.structs import replace

from ald.program.figures import fault
from ald.program.model import Timing
from ald.units import DURATION_NS_MAX
from unit.engine.programs import compiled, loop, prompt, purge, ramp, together, valve, wait

SOUND = compiled(purge(250), loop(3, valve("tma", 40), wait(0)), together([prompt()], [wait(1)]))


def test_the_bounds_themselves_are_sound():
    longest = replace(wait(0), duration_ns=DURATION_NS_MAX)
    slowest = ramp(1, math.nextafter(0, 1))
    program = compiled(longest, slowest, replace(valve("tma", 1), open_ns=1))
    for share in (0.001, 1.0):
        assert fault(replace(program, timing=Timing(max_relative_error=share))) == ""
    assert fault(SOUND) == ""


@pytest.mark.parametrize(
    "wrong",
    [replace(wait(0), duration_ns=DURATION_NS_MAX + 1), replace(valve("tma", 1), open_ns=0)],
)
def test_the_first_figure_beyond_them_is_named_with_its_instruction(wrong):
    assert fault(compiled(loop(2, wait(1)), wrong, wrong)).startswith("instruction 3: ")
    assert fault(compiled(wait(1), together([wait(1)], [wrong]))).startswith("instruction 3: ")
    assert fault(compiled(wait(1), cleanup=(wrong,))).startswith("instruction 1: ")


@pytest.mark.parametrize("timing", [Timing(max_error_ns=0), Timing(max_relative_error=1.001)])
def test_timing_is_looked_at_as_well(timing):
    assert fault(replace(SOUND, timing=timing)).startswith("max_")
