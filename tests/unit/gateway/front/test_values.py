import math

from ald.gateway.front.values import NONE_YET, values_reply
from ald.records.scan import Quality
from fixtures.plants import small_plant
from fixtures.records import WALL_NS, scan_of

PLANT = small_plant()


def test_values_carry_name_quality_and_age():
    scan = scan_of(
        PLANT,
        7,
        values=[20.5, 3.0, 1.0, math.nan],
        qualities=[Quality.GOOD, Quality.STALE, Quality.GOOD, Quality.BAD],
        ended_ns=1_000_000_000,
    )
    reply = values_reply(PLANT, scan, 1_250_000_000)
    assert (reply.sequence, reply.wall_ns) == (7, WALL_NS)
    assert [(v.name, v.value, v.quality, v.age_ms) for v in reply.values] == [
        ("heater.temperature", 20.5, "good", 250.0),
        ("gauge.pressure", 3.0, "stale", 250.0),
        ("valve.tma", 1.0, "good", 250.0),
        ("valve.water", None, "bad", 250.0),
    ]


def test_without_plant_or_scan_there_are_no_values():
    assert values_reply(None, scan_of(PLANT), 0) == NONE_YET
    assert values_reply(PLANT, b"", 0) == NONE_YET


def test_a_scan_of_another_plant_or_a_broken_one_is_not_shown():
    other = small_plant(name="reactor-2")
    assert values_reply(other, scan_of(PLANT), 0) == NONE_YET
    assert values_reply(PLANT, scan_of(PLANT)[:-1], 0) == NONE_YET
