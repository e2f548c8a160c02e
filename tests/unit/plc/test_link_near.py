"""When an answer is so near that nobody should fall asleep over it."""

from ald.plc.link import Lane
from ald.plc.times import NEAR_NS, USUAL_OVER
from unit.plc.bench import MS, READ, Bench

FAST_NS = NEAR_NS // 2


def ask(bench, token, at_ns, round_trip_ns):
    bench.link.submit(Lane.SCAN, READ, token, at_ns)
    bench.flush(at_ns)
    bench.answer(at_ns + round_trip_ns)
    return at_ns + round_trip_ns


def asked(bench, round_trips):
    at_ns = MS
    for token, round_trip_ns in enumerate(round_trips):
        at_ns = ask(bench, token, at_ns, round_trip_ns)
    bench.link.submit(Lane.SCAN, READ, len(round_trips), at_ns)
    return at_ns


def test_of_a_plc_that_has_not_answered_yet_nothing_is_known():
    bench = Bench()
    at_ns = asked(bench, [])
    bench.flush(at_ns)
    assert bench.link.near_until_ns == 0


def test_the_answer_of_a_fast_plc_is_near_as_soon_as_it_is_asked():
    bench = Bench()
    at_ns = asked(bench, [FAST_NS] * 100)
    assert bench.link.near_until_ns == 0
    bench.flush(at_ns)
    assert bench.link.near_until_ns == at_ns + NEAR_NS
    bench.answer(at_ns + FAST_NS)
    assert bench.link.near_until_ns == 0


def test_a_plc_that_takes_its_time_is_waited_for_asleep():
    bench = Bench()
    bench.flush(asked(bench, [FAST_NS] * 100 + [2 * NEAR_NS] * 3 * USUAL_OVER))
    assert bench.link.near_until_ns == 0


def test_one_slow_answer_is_soon_forgotten():
    bench = Bench()
    bench.flush(asked(bench, [FAST_NS] * 100 + [10 * NEAR_NS] + [FAST_NS] * 3 * USUAL_OVER))
    assert bench.link.near_until_ns
