"""Waiting for a descriptor; the clock goes on with each look at it."""

import socket
import time

import pytest
from typing_extensions import override

from ald.gateway.driver import ready
from ald.kit.clock import SystemClock

MS = 1_000_000


class Clock(SystemClock):
    """Each look takes a millisecond; `looked` is called at every one."""

    def __init__(self, looked=lambda count: None):
        self.looks = 0
        self._looked = looked

    @override
    def monotonic_ns(self):
        self.looks += 1
        self._looked(self.looks)
        return self.looks * MS


@pytest.fixture
def ends():
    first, second = socket.socketpair()
    with first, second:
        yield first, second


def test_what_is_ready_is_told_at_once(ends):
    ours, theirs = ends
    theirs.send(b"x")
    number = ours.fileno()
    assert ready.wait([number], [number], 10**18, 0, SystemClock()) == ([number], [number])
    assert ready.wait([number], [], 10**18, 10**18, SystemClock()) == ([number], [])


def test_an_answer_that_is_near_is_looked_for_until_it_comes(ends):
    ours, theirs = ends
    clock = Clock(lambda looks: theirs.send(b"x") if looks == 20 else None)
    assert ready.wait([ours.fileno()], [], 10**18, 100 * MS, clock) == ([ours.fileno()], [])
    assert clock.looks == 20


def test_nothing_is_looked_for_beyond_the_end_of_the_wait(ends):
    ours, _ = ends
    clock = Clock()
    assert ready.wait([ours.fileno()], [], 10 * MS, 100 * MS, clock) == ([], [])
    assert clock.looks == 10


def test_after_that_the_process_sleeps(ends):
    ours, _ = ends
    begin_ns, used_ns = time.monotonic_ns(), time.process_time_ns()
    until_ns = begin_ns + 300 * MS
    assert ready.wait([ours.fileno()], [], until_ns, begin_ns + 5 * MS, SystemClock()) == ([], [])
    assert time.monotonic_ns() >= until_ns
    assert time.process_time_ns() - used_ns < 150 * MS
