from ald.api.meta import MACHINE_NAME_LENGTH_MAX
from ald.controller.names import gateway_name, gateway_secret_name, machine_labels


def test_the_longest_name_of_a_machine_still_gives_valid_names():
    machine = "m" * MACHINE_NAME_LENGTH_MAX
    assert max(len(gateway_name(machine)), len(gateway_secret_name(machine))) <= 63
    assert all(len(value) <= 63 for value in machine_labels(machine).values())


def test_labels_say_what_it_is_and_whose():
    assert machine_labels("demo") == {
        "app.kubernetes.io/name": "ald-gateway",
        "app.kubernetes.io/managed-by": "ald-operator",
        "ald.dev/machine": "demo",
    }
