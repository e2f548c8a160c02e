import pytest

from ald.plant.addresses import Claim, overlaps, violations
from ald.plant.model import Table


def parameter(name, first, count=1, table=Table.HOLDING, **more):
    return Claim(
        owner=f"parameter {name}",
        path=f"spec.{name}",
        field="address",
        table=table,
        first=first,
        count=count,
        parameter=name,
        **more,
    )


def valve(name, coil):
    return Claim(
        owner=f"valve {name}",
        path=f"spec.{name}",
        field="coil",
        table=Table.COIL,
        first=coil,
        count=1,
    )


HEARTBEAT = Claim(
    owner="the heartbeat",
    path="spec.heartbeat",
    field="address",
    table=Table.HOLDING,
    first=200,
    count=1,
    exclusive=True,
)


def found(*claims, registers=False, bits=False):
    return list(violations(claims, shared_registers=registers, shared_bits=bits))


def test_values_side_by_side_do_not_overlap():
    assert found(parameter("a", 100, 2), parameter("b", 102, 4), parameter("c", 106)) == []


@pytest.mark.parametrize("first", [97, 98, 99, 100, 101])
def test_one_register_in_common_is_an_overlap_that_names_both(first):
    (one,) = found(parameter("a", 98 if first > 98 else 100, 4), parameter("b", first, 4))
    assert one.path == "spec.b.address"
    assert one.rule == "parameter b overlaps parameter a"
    assert "aliasOf: a" in one.hint


def test_the_same_number_in_two_tables_is_two_addresses_unless_the_plc_shares_them():
    read = parameter("read", 100, 2, Table.INPUT)
    written = parameter("set", 101, 2, Table.HOLDING)
    assert found(read, written) == []
    assert len(found(read, written, registers=True)) == 1
    switch = parameter("switch", 3, 1, Table.COIL)
    lamp = parameter("lamp", 3, 1, Table.DISCRETE)
    assert found(switch, lamp, registers=True) == []
    assert len(found(switch, lamp, bits=True)) == 1


def test_a_bit_and_a_register_of_one_number_never_meet():
    coil = parameter("switch", 100, 1, Table.COIL)
    assert found(coil, parameter("a", 100), registers=True, bits=True) == []


def test_each_overlapping_pair_is_named_once():
    claims = [parameter("a", 100, 4), parameter("b", 100, 4), parameter("c", 100, 4)]
    pairs = list(overlaps(claims, shared_registers=False, shared_bits=False))
    assert [(x.parameter, y.parameter) for x, y in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_declared_read_only_twin_may_overlap_its_parameter_and_the_other_twins():
    original = parameter("a", 100, 2, writable=True)
    twins = [parameter("b", 100, 1, alias_of="a"), parameter("c", 100, 2, alias_of="a")]
    assert found(original, *twins) == []
    assert found(*twins, original) == []


def test_a_twin_of_one_parameter_may_not_overlap_another():
    claims = (parameter("a", 100, 2), parameter("b", 100, 3, alias_of="a"), parameter("c", 102))
    (one,) = found(*claims)
    assert one.rule == "parameter c overlaps parameter b"


@pytest.mark.parametrize(
    ("twin", "rule"),
    [
        (parameter("b", 100, 2, alias_of="nowhere"), "there is no parameter nowhere"),
        (parameter("b", 300, 2, alias_of="a"), "parameter b has no address in common with a"),
        (parameter("b", 100, 2, alias_of="a", writable=True), "a twin is read-only"),
        (parameter("b", 300, 2, alias_of="b"), "a parameter is no twin of itself"),
        (parameter("b", 100, 2, alias_of="c"), "c is itself a twin of a"),
    ],
)
def test_an_alias_that_is_none_is_refused(twin, rule):
    claims = (parameter("a", 100, 2), parameter("c", 100, 2, alias_of="a"), twin)
    refused = [each for each in found(*claims) if each.path == "spec.b.aliasOf"]
    assert [each.rule for each in refused] == [rule]


def test_a_writable_parameter_on_a_valve_is_refused_and_names_both_in_either_order():
    writer = parameter("switch", 15, 1, Table.COIL, writable=True)
    for claims in ((writer, valve("tma", 15)), (valve("tma", 15), writer)):
        (one,) = found(*claims)
        assert one.path == "spec.switch.address"
        assert one.rule == "parameter switch would write what belongs to valve tma"


def test_a_read_only_parameter_may_watch_a_valve():
    assert found(valve("tma", 15), parameter("watch", 15, 1, Table.COIL)) == []
    watch = parameter("watch", 15, 1, Table.DISCRETE)
    assert found(valve("tma", 15), watch, bits=True) == []


def test_two_valves_never_share_a_coil():
    (one,) = found(valve("tma", 15), valve("water", 15))
    assert one.path == "spec.water.coil"
    assert one.rule == "valve water lies on the address of valve tma"


def test_nothing_lies_on_the_heartbeat_not_even_a_reader_of_a_shared_space():
    (one,) = found(parameter("count", 199, 2), HEARTBEAT)
    assert one.path == "spec.count.address"
    assert one.rule == "parameter count lies on the address of the heartbeat"
    assert found(HEARTBEAT, parameter("count", 200, 1, Table.INPUT)) == []
    assert len(found(HEARTBEAT, parameter("count", 200, 1, Table.INPUT), registers=True)) == 1


def test_a_value_that_ends_behind_the_last_address_is_refused():
    assert found(parameter("a", 65535)) == []
    (one,) = found(parameter("a", 65535, 2))
    assert one.rule == "parameter a takes 2 registers and ends behind address 65535"


def test_two_bits_of_one_register_do_not_overlap():
    assert found(parameter("a", 100, bit=0), parameter("b", 100, bit=15)) == []


def test_the_same_bit_twice_is_an_overlap():
    (one,) = found(parameter("a", 100, bit=3), parameter("b", 100, bit=3))
    assert one.rule == "parameter b overlaps parameter a"
    assert one.value == "holding 100 bit 3"


def test_a_bit_and_its_whole_register_overlap_unless_they_are_twins():
    whole = parameter("word", 99, 2)
    assert len(found(whole, parameter("a", 100, bit=3))) == 1
    assert found(whole, *(parameter(f"b{n}", 100, bit=n, alias_of="word") for n in range(16))) == []


def test_a_bit_of_the_heartbeat_is_nobodys():
    (one,) = found(HEARTBEAT, parameter("a", 200, bit=3))
    assert one.rule == "parameter a lies on the address of the heartbeat"


def test_bits_of_shared_registers_meet_across_the_tables():
    twins = parameter("a", 100, bit=3), parameter("b", 100, table=Table.INPUT, bit=3)
    assert found(*twins) == []
    assert len(found(*twins, registers=True)) == 1
