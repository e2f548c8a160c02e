import pytest

from ald.controller.names import RUN_FINALIZER
from ald.controller.uninstall import NAMED_MAX, Settings, decide, main
from ald.kit.config import load
from unit.controller import situations as s

ENDED = s.with_condition(s.RUN, "Succeeded", "True", "Completed")


def named(document, name):
    return s.edited(document, "metadata.name", name)


def test_with_nothing_there_the_operator_may_go():
    answer = decide([], [])
    assert answer.allowed
    assert answer.message == "No run is active."


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (s.RUN, "Pending"),
        (s.with_condition(s.RUN, "Succeeded", "Unknown", "Queued"), "Queued"),
        (s.with_condition(s.RUN, "Succeeded", "Unknown", "Running"), "Running"),
    ],
)
def test_a_run_that_has_not_ended_keeps_the_operator_and_is_named(run, reason):
    answer = decide([named(ENDED, "earlier"), run], [])
    assert not answer.allowed
    assert f"plant-1/{run['metadata']['name']} ({reason}) on demo-reactor" in answer.message
    assert "earlier" not in answer.message
    assert '{"spec":{"action":"Abort"}}' in answer.message


def test_a_run_that_only_the_operator_can_let_go_keeps_it():
    run = s.edited(ENDED, "metadata.finalizers", [RUN_FINALIZER])
    assert not decide([run], []).allowed


def test_an_ended_run_that_somebody_else_keeps_does_not_keep_the_operator():
    run = s.edited(ENDED, "metadata.finalizers", ["example.org/archive"])
    assert decide([run], []).allowed


def test_machines_that_stay_are_named_and_keep_nobody():
    answer = decide([ENDED], [s.MACHINE])
    assert answer.allowed
    assert "plant-1/demo-reactor" in answer.message


def test_a_message_names_so_many_and_counts_the_others():
    machines = [named(s.MACHINE, f"m{index:03}") for index in range(NAMED_MAX + 5)]
    message = decide([], machines).message
    assert "plant-1/m019" in message
    assert "m020" not in message
    assert message.endswith("and 5 more")


def test_the_watched_namespaces_are_all_that_it_is_told():
    assert load(Settings, {"ALD_NAMESPACES": "a, b"}).namespaces == ("a", "b")


def test_where_nobody_can_tell_the_operator_stays(monkeypatch, capsys):
    monkeypatch.setenv("ALD_NAMESPACE", "plant-1")
    assert main() == 1
    said = capsys.readouterr().out
    assert "Nobody can tell whether a run is active: ALD_NAMESPACE" in said
    assert "--no-hooks" in said
