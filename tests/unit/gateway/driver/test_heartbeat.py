"""The heartbeat and the edges."""

import pytest

from ald.errors import LinkDownError
from ald.gateway.driver.heartbeat import EDGE_GUARD_NS, Heartbeat
from ald.plant.model import Heartbeat as Declared
from ald.plc.link import Completion, Lane

MS = 1_000_000
PERIOD = 500 * MS


class Link:
    """Takes what is submitted."""

    connected = True

    def __init__(self):
        self.submitted = []

    def submit(self, lane, request, token, now_ns):
        assert lane is Lane.HEARTBEAT
        self.submitted.append((now_ns, request.address, request.words))


def made():
    return Heartbeat(Declared(address=100, period_ns=PERIOD, timeout_ns=2000 * MS), -1, 0)


def beat(beats, link, now_ns):
    beats.beat(link, now_ns, None)


def done(*, ok=True):
    error = None if ok else LinkDownError("gone")
    return Completion(
        token=-1, ok=ok, error=error, data=b"", sent_ns=1, acked_ns=2 if ok else 0, unknown=False
    )


def test_each_beat_writes_another_value_on_the_grid():
    beats, link = made(), Link()
    for now in (0, 1, 499 * MS, 510 * MS, 1000 * MS):
        beats.beat(link, now, None)
        beats.completed(done())
    assert link.submitted == [
        (0, 100, (1,)),
        (510 * MS, 100, (2,)),
        (1000 * MS, 100, (3,)),
    ]


def test_lives_of_one_beat_each_write_different_values():
    link = Link()
    for born_ms in (0, 700, 1400, 65_000, 66_000):
        born = Heartbeat(
            Declared(address=100, period_ns=PERIOD, timeout_ns=2000 * MS), -1, born_ms * MS
        )
        beat(born, link, born_ms * MS)
    words = [words for _, _, words in link.submitted]
    assert len(set(words)) == len(words) == 5
    assert all(0 <= word < 0x10000 for (word,) in words)


def test_a_beat_waits_for_a_near_edge_but_not_for_long():
    beats, link = made(), Link()
    edge = 5 * MS
    assert beats.wake_ns(edge) == edge
    beats.beat(link, 1, edge)
    assert link.submitted == []
    beats.beat(link, edge + 1, None)
    assert len(link.submitted) == 1
    beats.completed(done())
    late = PERIOD + PERIOD // 2
    assert beats.wake_ns(PERIOD + 1) <= late
    beats.beat(link, late, late + 1)
    assert len(link.submitted) == 2


def test_a_far_edge_is_no_reason_to_wait():
    beats, link = made(), Link()
    beats.beat(link, 0, EDGE_GUARD_NS + 1)
    assert len(link.submitted) == 1


def test_only_one_beat_is_on_its_way():
    beats, link = made(), Link()
    for now in range(0, 3000 * MS, 100 * MS):
        beats.beat(link, now, None)
    assert len(link.submitted) == 1


@pytest.mark.parametrize("outcomes", [[True, True, False, False, True]])
def test_a_change_of_acknowledgement_is_told_once(outcomes):
    beats = made()
    changes = [beats.completed(done(ok=ok)) for ok in outcomes]
    assert changes == [True, False, True, False, True]
    assert beats.is_acknowledged


def test_without_a_connection_it_is_silent_and_after_a_new_one_beats_at_once():
    beats, link = made(), Link()
    link.connected = False
    beat(beats, link, 0)
    assert link.submitted == []
    link.connected = True
    beats.reconnected(10 * MS)
    beats.beat(link, 10 * MS, None)
    assert len(link.submitted) == 1
