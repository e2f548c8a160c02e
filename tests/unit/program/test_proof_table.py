from ald.program.proof_table import proof_table
from unit.program.reactors import PLANT, program_of, recipe


def purge(name, duration):
    return {"name": name, "purge": {"gas": "N2", "flow": 20, "duration": duration}}


def pulse(valve):
    return {"name": valve, "valve": {"valve": valve, "open": "40ms"}}


def rows(*steps, cleanup=()):
    program = program_of(recipe(list(steps), cleanup=list(cleanup)))
    return {row.group: row for row in proof_table(program, PLANT)}


def test_the_smallest_purge_between_two_valves_is_named_with_the_step_it_comes_before():
    steps = [purge("one", "9s"), pulse("tma"), purge("two", "7s"), pulse("water")]
    loop = {"name": "again", "loop": {"count": 3, "steps": [purge("three", "8s"), *steps[1:]]}}
    found = rows(steps[0], loop)["precursors"]
    assert (found.smallest, found.before) == ("7s", "again/water")
    assert {"tma", "water"} <= set(found.valves)
    assert " of N2 >= " in found.required


def test_a_purge_in_the_cleanup_is_marked_as_such():
    cleanup = [purge("rinse", "9s"), pulse("water"), purge("more", "5s"), pulse("tma")]
    found = rows(purge("first", "9s"), pulse("tma"), cleanup=cleanup)["precursors"]
    assert (found.smallest, found.before) == ("5s", "cleanup: tma")


def test_the_purge_between_the_steps_and_the_cleanup_counts_as_one_between_two_valves():
    """The cleanup may follow any step: of what the steps purge behind their last opening nothing may have been done."""
    steps = [
        purge("one", "9s"),
        pulse("tma"),
        purge("two", "7s"),
        pulse("water"),
        purge("end", "9s"),
    ]
    cleanup = [purge("rinse", "5s"), pulse("water")]
    found = rows(*steps, cleanup=cleanup)["precursors"]
    assert (found.smallest, found.before) == ("5s", "cleanup: water")
    alone = rows(*steps[:2], purge("end", "9s"), cleanup=cleanup)["precursors"]
    assert (alone.smallest, alone.before) == ("5s", "cleanup: water")


def test_where_no_two_valves_follow_each_other_there_is_no_smallest_purge():
    found = rows(purge("one", "9s"), pulse("tma"), {**pulse("tma"), "name": "again"})["precursors"]
    assert (found.smallest, found.before) == ("", "")
    steps = [purge("one", "9s"), pulse("tma")]
    found = rows(*steps, cleanup=[purge("rinse", "5s"), pulse("tma")])["precursors"]
    assert (found.smallest, found.before) == ("", "")
