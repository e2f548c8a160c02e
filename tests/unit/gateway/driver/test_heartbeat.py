"""The heartbeat and the edges."""

import pytest

from ald.errors import LinkDownError
from ald.gateway.driver.heartbeat import (
    CALM_BEATS,
    DOUBTS_MAX,
    EDGE_GUARD_NS,
    Heartbeat,
    Watchdog,
)
from ald.plant.model import Heartbeat as Declared
from ald.plc.link import Completion, Lane
from ald.plc.request import ReadRegisters

MS = 1_000_000
PERIOD = 500 * MS


class Link:
    """Takes what is submitted."""

    connected = True

    def __init__(self):
        self.submitted = []
        self.looks = []

    def submit(self, lane, request, token, now_ns):
        assert lane is Lane.HEARTBEAT
        if isinstance(request, ReadRegisters):
            assert (request.address, request.count) == (100, 1)
            self.looks.append((now_ns, token))
            return
        assert token == -1
        self.submitted.append((now_ns, request.address, request.words))


def made():
    return Heartbeat(Declared(address=100, period_ns=PERIOD, timeout_ns=2000 * MS), -1, 0)


def beat(beats, link, now_ns):
    beats.beat(link, now_ns, None)


def done(*, ok=True, unknown=False, acked_ns=2):
    return Completion(
        token=-1,
        ok=ok,
        error=None if ok else LinkDownError("gone"),
        data=b"",
        sent_ns=1,
        acked_ns=acked_ns if ok else 0,
        unknown=unknown,
    )


def looked(word=None):
    """The answer to a look at the register; None: it cannot be read."""
    ok = word is not None
    return Completion(
        token=-2,
        ok=ok,
        error=None if ok else LinkDownError("refused"),
        data=word.to_bytes(2, "big") if ok else b"",
        sent_ns=1,
        acked_ns=2,
        unknown=False,
    )


class Life:
    """Beats on time, each acknowledged, and the register as it is found before each."""

    def __init__(self):
        self.beats, self.link, self.now, self.word = made(), Link(), 0, 0
        self.told = Watchdog()

    def live(self, count=1, *, ok=True, unknown=False, took_effect=None):
        for _ in range(count):
            before = len(self.link.looks)
            self.beats.beat(self.link, self.now, None)
            if len(self.link.looks) > before:
                self.beats.completed(looked(self.word))
            if ok or took_effect:
                self.word = self.link.submitted[-1][2][0]
            self.beats.completed(done(ok=ok, unknown=unknown, acked_ns=self.now + 1))
            self.now += PERIOD

    @property
    def is_foreign(self):
        self.told = self.beats.news(self.now) or self.told
        return self.told.is_foreign


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
    assert beats.wake_ns(0, edge) == edge
    beats.beat(link, 1, edge)
    assert link.submitted == []
    beats.beat(link, edge + 1, None)
    assert len(link.submitted) == 1
    beats.completed(done())
    late = PERIOD + PERIOD // 2
    assert beats.wake_ns(1, PERIOD + 1) <= late
    beats.beat(link, late, late + 1)
    assert len(link.submitted) == 2


def test_a_beat_that_an_edge_has_come_near_to_while_it_was_overdue_is_not_asked_about_at_once():
    beats, link = made(), Link()
    edge = EDGE_GUARD_NS + MS
    assert beats.wake_ns(0, edge) == 0
    beats.beat(link, 2 * MS, edge)
    assert link.submitted == []
    assert beats.wake_ns(2 * MS, edge) == edge, "the loop would spin"


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
    told = []
    for ok in outcomes:
        beats.completed(done(ok=ok))
        told.append(beats.news(3))
    assert told == [Watchdog(True), None, Watchdog(False), None, Watchdog(True)]


def test_a_beat_counts_as_acknowledged_for_as_long_as_the_plc_waits_for_the_next():
    beats = made()
    beats.completed(done(acked_ns=10))
    assert beats.news(10) == Watchdog(is_acknowledged=True)
    assert beats.news(10 + 2000 * MS) is None
    assert beats.news(11 + 2000 * MS) == Watchdog(is_acknowledged=False)


def test_a_register_that_holds_what_was_written_is_nobody_elses():
    life = Life()
    life.live(20)
    assert not life.is_foreign
    # The first beat finds what a life before left, which proves nothing.
    assert len(life.link.looks) == 19


def test_a_register_moved_by_somebody_else_is_noticed_by_the_next_beat():
    life = Life()
    life.live(3)
    life.word = 4711
    life.live()
    assert life.is_foreign
    life.live(CALM_BEATS - 1)
    assert life.is_foreign
    life.live()
    assert not life.is_foreign


def test_a_beat_of_which_nobody_knows_whether_it_came_through_is_no_stranger():
    for took_effect in (False, True):
        life = Life()
        life.live(3)
        life.live(ok=False, unknown=True, took_effect=took_effect)
        life.live(2)
        assert not life.is_foreign


@pytest.mark.parametrize("shows_the_new", [False, True])
def test_a_plc_that_answers_the_beat_before_the_look_is_no_stranger(shows_the_new):
    beats, link = made(), Link()
    beat(beats, link, 0)
    beats.completed(done())
    beat(beats, link, PERIOD)
    old, new = (words[0] for _, _, words in link.submitted)
    beats.completed(done(acked_ns=PERIOD))
    beats.completed(looked(new if shows_the_new else old))
    assert beats.news(PERIOD) == Watchdog(is_acknowledged=True)
    beat(beats, link, 2 * PERIOD)
    beats.completed(done(acked_ns=2 * PERIOD))
    beats.completed(looked(4711))
    assert beats.news(2 * PERIOD) == Watchdog(is_acknowledged=True, is_foreign=True)


@pytest.mark.parametrize("periods_late", [1, 2, 3])
def test_a_look_that_is_answered_periods_late_finds_what_stood_there_then(periods_late):
    beats, link = made(), Link()
    for turn in range(2 + periods_late):
        beat(beats, link, turn * PERIOD)
        beats.completed(done(acked_ns=turn * PERIOD))
    before = link.submitted[0][2][0]
    assert len(link.looks) == 1, "one look at a time"
    beats.completed(looked(before))
    assert beats.news(turn * PERIOD) == Watchdog(is_acknowledged=True)
    beat(beats, link, (turn + 1) * PERIOD)
    beats.completed(looked(4711))
    beats.completed(done(acked_ns=(turn + 1) * PERIOD))
    assert beats.news((turn + 1) * PERIOD) == Watchdog(is_acknowledged=True, is_foreign=True)


def test_a_refused_beat_leaves_what_was_there():
    life = Life()
    life.live(3)
    life.live(2, ok=False)
    assert not life.is_foreign
    life.word = life.link.submitted[-1][2][0]
    life.live()
    assert life.is_foreign


def test_what_another_left_there_while_our_beats_are_refused_was_moved_once():
    life = Life()
    life.live(3)
    life.word = 4711
    life.live(CALM_BEATS, ok=False)
    assert life.is_foreign
    life.live(ok=False)
    assert not life.is_foreign
    life.word = 4712
    life.live(ok=False)
    assert life.is_foreign


def test_when_too_many_beats_are_in_doubt_nothing_is_known():
    life = Life()
    life.live(3)
    life.live(DOUBTS_MAX + 2, ok=False, unknown=True)
    life.word = 4711
    life.live(2)
    assert not life.is_foreign


def test_a_register_that_cannot_be_read_proves_nothing():
    beats, link = made(), Link()
    for now in range(0, 3000 * MS, PERIOD):
        beats.beat(link, now, None)
        beats.completed(looked())
        beats.completed(done(acked_ns=now))
    assert beats.news(3000 * MS) == Watchdog(is_acknowledged=True)


def test_after_a_lost_connection_nothing_is_known_and_nothing_is_told():
    life = Life()
    life.live(3)
    life.word = 4711
    life.live()
    assert life.beats.news(life.now) == Watchdog(is_acknowledged=True, is_foreign=True)
    life.beats.disconnected()
    assert life.beats.news(life.now) is None
    life.beats.reconnected(life.now)
    life.word = 4711
    looks = len(life.link.looks)
    life.live()
    assert len(life.link.looks) == looks


def test_both_its_tokens_are_its_own():
    beats = made()
    assert [beats.owns(token) for token in (1, 0, -1, -2, -3)] == [False, False, True, True, False]


def test_without_a_connection_it_is_silent_and_after_a_new_one_beats_at_once():
    beats, link = made(), Link()
    link.connected = False
    beat(beats, link, 0)
    assert link.submitted == []
    link.connected = True
    beats.reconnected(10 * MS)
    beats.beat(link, 10 * MS, None)
    assert len(link.submitted) == 1


def test_a_connection_that_the_engine_has_not_heard_of_gets_no_beat_and_is_not_asked_about_at_once():
    beats, link = made(), Link()
    beats.beat(link, 0, None, is_known=False)
    assert link.submitted == []
    assert beats.wake_ns(0, None) == PERIOD, "the loop would spin"
    beats.reconnected(10 * MS)
    beat(beats, link, 10 * MS)
    assert [at for at, _, _ in link.submitted] == [10 * MS]
