"""Writes of unknown outcome on a sound connection: read back before they are told."""

import pytest

from ald.errors import LinkDownError, ModbusExceptionError
from ald.gateway.driver.readback import OPEN_MAX, Readback
from ald.plc.link import Lane
from ald.plc.request import WriteCoil
from unit.plc.bench import CLOSE, MS, OPEN, READ, Bench, exception_to, functions

FIRST = -3


class Case:
    """A link, what reads back, and what was told in the end."""

    def __init__(self, window=1):
        self.bench = Bench(window=window)
        self.readback = Readback(FIRST)
        self.told = {}
        self.now = 0

    def write(self, request, token, lane=Lane.RECIPE):
        self.readback.submitted(lane, request, token)
        self.bench.link.submit(lane, request, token, self.now)
        self.bench.flush(self.now)

    def settle(self):
        self.now += MS
        for completion in self.bench.link.completions():
            if self.readback.owns(completion.token):
                known = self.readback.settled(completion)
                self.told[known.token] = known
            elif not self.readback.settles(completion, self.bench.link, self.now):
                self.told[completion.token] = completion
        self.bench.flush(self.now)

    def refuse(self, code=4):
        """Answer the oldest frame with an exception."""
        self.bench.link.receive(exception_to(self.bench.seen.pop(0), code), self.now)
        self.settle()

    def answer_bits(self, on):
        frame = self.bench.seen.pop(0)
        assert frame[7] == 1, "a read-back of a coil"
        data = frame[:4] + b"\0\4" + frame[6:8] + bytes([1, on])
        self.bench.link.receive(data, self.now)
        self.settle()


def test_an_opening_that_reads_open_is_told_as_acknowledged():
    case = Case()
    case.write(OPEN, 1)
    case.refuse()
    assert case.told == {}
    case.answer_bits(True)
    assert case.told[1].ok
    assert case.told[1].error is None
    assert (case.told[1].sent_ns, case.told[1].acked_ns) == (0, MS)


def test_an_opening_that_reads_shut_is_told_as_refused():
    case = Case()
    case.write(OPEN, 1)
    case.refuse()
    case.answer_bits(False)
    assert (case.told[1].ok, case.told[1].unknown) == (False, False)
    assert str(case.told[1].error).endswith("holds something else than was written")


def test_what_a_plc_may_still_be_at_stays_unknown_where_it_reads_otherwise():
    case = Case()
    case.write(OPEN, 1)
    case.refuse(code=5)
    case.answer_bits(False)
    assert case.told[1].unknown


def test_the_read_back_goes_before_all_that_waits_in_lower_lanes():
    case = Case()
    case.write(CLOSE, 1, Lane.SAFE)
    for lane in (Lane.RECIPE, Lane.HEARTBEAT, Lane.COMMAND, Lane.SCAN):
        case.bench.link.submit(lane, READ, 100 + lane, 0)
    case.refuse()
    assert functions(case.bench) == [1]


def test_no_write_is_sent_again():
    case = Case()
    case.write(OPEN, 1)
    case.refuse()
    case.answer_bits(False)
    assert case.bench.seen == []


def test_a_plain_refusal_is_told_at_once():
    case = Case()
    case.write(OPEN, 1)
    case.refuse(code=2)
    assert not case.told[1].unknown
    assert case.bench.seen == []


def test_without_a_connection_there_is_nothing_to_read_from():
    case = Case()
    case.write(OPEN, 1)
    case.bench.link.lost(LinkDownError("reset"), 0)
    case.settle()
    assert case.told[1].unknown


def test_a_read_back_that_the_plc_refuses_leaves_it_unknown():
    case = Case()
    case.write(OPEN, 1)
    case.refuse()
    case.refuse(code=2)
    assert case.told[1].unknown
    assert isinstance(case.told[1].error, ModbusExceptionError)


def test_a_connection_lost_while_reading_back_leaves_it_unknown():
    case = Case()
    case.write(OPEN, 1)
    case.refuse()
    case.bench.link.lost(LinkDownError("reset"), case.now)
    case.settle()
    assert case.told[1].unknown


@pytest.mark.parametrize("reads_open", [True, False])
def test_where_another_write_followed_the_read_back_says_nothing_of_the_first(reads_open):
    case = Case(window=2)
    case.write(OPEN, 1)
    case.write(CLOSE, 2)
    case.refuse()
    frame = case.bench.seen.pop(0)
    case.bench.answer(case.now, frame=frame)
    case.settle()
    case.answer_bits(reads_open)
    assert case.told[2].ok
    assert case.told[1].unknown


def test_so_many_are_read_back_at_a_time_and_none_is_forgotten():
    case = Case(window=64)
    for token in range(1, OPEN_MAX + 3):
        case.write(WriteCoil(100 + token, True), token)
    for _ in range(OPEN_MAX + 2):
        case.refuse()
    assert sorted(case.told) == [OPEN_MAX + 1, OPEN_MAX + 2]
    assert all(each.unknown for each in case.told.values())
    for _ in range(OPEN_MAX):
        case.answer_bits(True)
    assert sum(each.ok for each in case.told.values()) == OPEN_MAX
