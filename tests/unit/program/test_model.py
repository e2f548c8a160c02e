"""The program as data."""

import msgspec

from ald.program.model import EndLoop, Estimate, Loop, Program, Pulse, digest

PROGRAM = Program(
    recipe="al2o3",
    recipe_uid="u",
    recipe_generation=1,
    plant_digest="ab" * 32,
    inputs={"cycles": 2, "dose": "40ms"},
    instructions=(
        Loop(path="spec.steps[0]", name="deposit", count=2, depth=0, end=2),
        Pulse(path="spec.steps[0].loop.steps[0]", name="deposit/tma", valve="tma", open_ns=1),
        EndLoop(begin=0),
    ),
    cleanup=3,
    estimate=Estimate(leaves=2, minimum_ns=2, maximum_ns=2, openings={"tma": 2}),
    separations=(),
)


def test_a_program_that_travelled_as_json_is_the_same_program() -> None:
    travelled = msgspec.json.decode(msgspec.json.encode(PROGRAM), type=Program)
    assert travelled == PROGRAM
    assert digest(travelled) == digest(PROGRAM)


def test_any_change_of_an_instruction_changes_the_digest() -> None:
    pulse = PROGRAM.instructions[1]
    assert isinstance(pulse, Pulse)
    longer = msgspec.structs.replace(pulse, open_ns=2)
    instructions = (PROGRAM.instructions[0], longer, PROGRAM.instructions[2])
    changed = msgspec.structs.replace(PROGRAM, instructions=instructions)
    assert digest(changed) != digest(PROGRAM)
