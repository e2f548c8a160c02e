"""What the resources are called and what `kubectl get` shows of them."""

from ald.api.crd.kinds import KINDS


def test_there_are_four_kinds_with_the_names_people_type():
    assert {(k.name, k.plural, k.short) for k in KINDS} == {
        ("Machine", "machines", "mach"),
        ("Recipe", "recipes", "rcp"),
        ("RecipeRun", "reciperuns", "run"),
        ("MachineAction", "machineactions", "mact"),
    }


def test_a_definition_is_named_by_plural_and_group():
    assert KINDS[0].definition_name == "machines.ald.dev"


def test_every_kind_shows_its_age():
    assert all(k.columns and "Age" in [c.name for c in k.columns] for k in KINDS)
