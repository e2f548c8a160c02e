"""Prompts: held until somebody confirms the one that waits, on record, and not for ever."""

import pytest
from msgspec.structs import replace

from ald.engine.inputs import ActionAsked, ConfirmAsked
from ald.engine.status import driver_status
from ald.errors import RefusedError
from ald.gateway.driver.requests import NO_LINK, NO_SCAN
from ald.records.event import PromptConfirmed, RunOutcome
from ald.wire import RunAction
from unit.engine.programs import MS, PLANT, UID, S, assign, loop, prompt, wait
from unit.engine.world import World

ID = f"{UID[:8]}-1"


def asking(*steps, plant=PLANT):
    world = World(plant).ready().start(*(steps or (prompt(),)), wait(100), cleanup=(assign(25.0),))
    return world.run_for(100 * MS)


def confirm(world, target=ID):
    world.give(ConfirmAsked(at_ns=world.now, target=target, by="anna", comment="seen"))


def progress(world):
    run = driver_status(world.state, NO_LINK, NO_SCAN).run
    assert run is not None
    return run


def test_a_prompt_holds_the_run_until_somebody_confirms_it():
    world = asking().run_for(10 * S)
    assert world.machine == "Held"
    run = progress(world)
    assert (run.prompt_id, run.prompt_message) == (ID, "crucible in place?")
    assert ID in run.held
    confirm(world)
    assert world.machine == "Execute"
    assert progress(world).prompt_id == ""
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    (event,) = world.events(PromptConfirmed)
    assert (event.by, event.comment, event.ordinal) == ("anna", "seen", 1)


def test_a_prompt_that_nobody_confirms_fails_and_cleans_up():
    world = asking(prompt(timeout_ms=5000))
    ended = world.run_until_ended()
    assert ended.outcome is RunOutcome.STEP_FAILED
    assert "nobody confirmed within 5s" in ended.message
    assert world.value("heater.setpoint") == 25.0
    with pytest.raises(RefusedError, match="no prompt"):
        confirm(world)


def test_the_time_out_of_the_step_counts_and_not_the_maximum_hold_of_the_machine():
    world = asking(plant=replace(PLANT, max_hold_ns=2 * S)).run_for(30 * S)
    assert world.machine == "Held"
    confirm(world)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED


@pytest.mark.parametrize("target", ["", "0f8fad5b-2", "other"])
def test_an_answer_to_another_prompt_is_refused_and_names_the_one_that_waits(target):
    world = asking()
    with pytest.raises(RefusedError, match=ID):
        confirm(world, target)
    assert world.machine == "Held"


def test_each_prompt_of_a_loop_has_an_id_of_its_own_and_answering_twice_answers_once():
    world = asking(loop(2, prompt()))
    confirm(world)
    with pytest.raises(RefusedError, match="no prompt"):
        confirm(world)
    confirm(world, progress(world).prompt_id)
    assert world.run_until_ended().outcome is RunOutcome.COMPLETED
    assert len(world.events(PromptConfirmed)) == 2


def test_a_stop_needs_no_answer():
    world = asking()
    world.give(
        ActionAsked(at_ns=world.now, uid=UID, action=RunAction.STOP, by="anna", reason="enough")
    )
    assert world.run_until_ended(2 * S).outcome is RunOutcome.STOPPED
    assert world.events(PromptConfirmed) == []
    assert world.value("heater.setpoint") == 25.0


def test_a_pause_is_taken_after_the_answer():
    world = asking()
    world.give(ActionAsked(at_ns=world.now, uid=UID, action=RunAction.PAUSE, by="anna", reason=""))
    assert progress(world).hold_reason == "Prompt"
    confirm(world)
    assert progress(world).hold_reason == "Paused"


def test_no_answer_counts_once_the_run_is_being_ended():
    world = asking()
    world.abort(by="anna", reason="now")
    with pytest.raises(RefusedError, match="no prompt"):
        confirm(world)
