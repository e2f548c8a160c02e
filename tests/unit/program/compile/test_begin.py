import pytest

from ald.api.run import StartAt
from ald.errors import InvalidInputError
from ald.program.compile.begin import begin
from ald.program.start_at import start_at
from ald.program.start_place import Start
from unit.program.reactors import CLEAR, PLANT, program_of, recipe
from unit.program.steps import loop, wait

PROGRAM = program_of(recipe([CLEAR, loop("pair", 4, loop("first", 9, wait("w")))]))


def test_a_run_that_says_nothing_begins_at_the_beginning():
    assert begin(PROGRAM, None, PLANT) is PROGRAM


def test_a_run_begins_where_it_says():
    wanted = StartAt.model_validate({"step": "pair/first", "cycle": 5, "outerCycles": [2]})
    start = Start(step="pair/first", cycle=5, outer_cycles=(2,))
    assert begin(PROGRAM, wanted, PLANT) == start_at(PROGRAM, start, PLANT) != PROGRAM


def test_what_is_not_there_is_refused():
    with pytest.raises(InvalidInputError, match=r"spec\.startAt\.cycle \(is 10\)"):
        begin(PROGRAM, StartAt(step="pair/first", cycle=10, outer_cycles=(2,)), PLANT)
