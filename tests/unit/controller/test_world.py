import pytest

from ald.controller.apply import ACTION, MACHINE, RECIPE, RUN, key_of
from ald.controller.names import Key
from ald.controller.world import World, has_ended, wants_end, was_handed_over
from unit.controller import situations as s

KEY = Key(s.SPACE, s.RUN["metadata"]["name"])


def run(version: str = "1", **metadata):
    return s.edited(s.RUN, "metadata", s.RUN["metadata"] | {"resourceVersion": version} | metadata)


def test_an_older_version_never_replaces_a_newer_one():
    world = World()
    assert world.put(run("12"))
    assert not world.put(run("9"))
    found = world.find(RUN, KEY)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == "12"


def test_another_object_of_the_same_name_replaces_whatever_its_version():
    world = World()
    world.put(run("12"))
    assert world.put(run("9", uid="another"))


def test_a_late_word_of_a_deletion_does_not_remove_a_new_object_of_that_name():
    world = World()
    world.put(run("12", uid="new"))
    world.remove(run("11", uid="old"))
    assert world.find(RUN, KEY) is not None
    world.remove(run("13", uid="new"))
    assert world.find(RUN, KEY) is None


def test_ended_runs_are_forgotten_once_nothing_keeps_them():
    world = World()
    ended = s.with_condition(run("2"), "Succeeded", "True", "Completed")
    world.put(s.edited(ended, "metadata.finalizers", ["ald.dev/active-run"]))
    assert world.find(RUN, KEY) is not None
    world.put(s.edited(ended, "metadata.resourceVersion", "3"))
    assert world.find(RUN, KEY) is None


def test_a_late_word_of_a_run_from_before_its_end_does_not_bring_it_back():
    world = World()
    world.put(s.with_condition(run("5"), "Succeeded", "True", "Completed"))
    assert not world.put(run("4"))
    assert world.find(RUN, KEY) is None
    world.remove(run("6"))
    assert world.put(run("7", uid="another"))


def test_the_runs_of_a_machine_come_in_the_order_of_their_creation_then_by_name():
    world = World()
    world.put(run(name="late", uid="1", creationTimestamp="2026-01-02T00:00:02Z"))
    world.put(run(name="b", uid="2", creationTimestamp="2026-01-02T00:00:01Z"))
    world.put(run(name="a", uid="3", creationTimestamp="2026-01-02T00:00:01Z"))
    world.put(run(name="elsewhere", uid="4", namespace="other"))
    found = world.of_machine(RUN, Key(s.SPACE, "demo-reactor"))
    assert [each["metadata"]["name"] for each in found] == ["a", "b", "late"]


def test_managed_fields_are_not_kept():
    world = World()
    world.put(run(managedFields=[{"manager": "kubectl"}]))
    found = world.find(RUN, KEY)
    assert found is not None
    assert "managedFields" not in found["metadata"]


def test_kinds_are_kept_apart():
    world = World()
    for document in (s.MACHINE, s.RECIPE, s.ACTION):
        world.put(document)
    assert [len(list(world.all(kind))) for kind in (MACHINE, RECIPE, RUN, ACTION)] == [1, 1, 0, 1]
    assert list(world.all(MACHINE, "other")) == []


@pytest.mark.parametrize(
    ("where", "value", "wanted"),
    [
        ("spec.action", "Abort", True),
        ("spec.action", "Run", False),
        ("metadata.deletionTimestamp", s.NOW, True),
    ],
)
def test_an_abort_is_asked_for_by_action_or_by_deletion(where, value, wanted):
    assert wants_end(s.edited(s.RUN, where, value)) is wanted


def test_facts_about_runs_come_from_their_status():
    assert not has_ended(s.RUN)
    assert not has_ended(s.with_condition(s.RUN, "Succeeded", "Unknown", "Running"))
    assert has_ended(s.with_condition(s.RUN, "Succeeded", "False", "Aborted"))
    assert not was_handed_over(s.RUN)
    assert was_handed_over(s.edited(s.RUN, "status.gatewaySession", "session-1"))


def test_the_newest_action_that_makes_safe_is_remembered_whatever_became_of_it():
    world, machine = World(), key_of(s.MACHINE)
    assert world.safe_asked(machine) == ("", "")
    world.put(s.ACTION)
    assert world.safe_asked(machine) == ("", "")
    named = {"verb": "SafeState"}
    for name, created in (("late", s.NOW), ("early", s.EARLIER)):
        action = s.edited(s.ACTION, "spec", s.ACTION["spec"] | named)
        action = s.edited(action, "metadata", action["metadata"] | {"name": name, "uid": name})
        action = s.edited(action, "metadata.creationTimestamp", created)
        world.put(s.with_condition(action, "Succeeded", "True", "Done"))
    assert world.safe_asked(machine) == (s.NOW, "late")
