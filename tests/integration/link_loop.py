"""Link and connection in a loop of their own, without a driver around them."""

import contextlib
import random
import select
import time

from ald.plant.model import LinkSettings
from ald.plc.connection import Connection
from ald.plc.link import Lane, Link


class Loop:
    """The driver's loop in small: poll, take in, hand over."""

    def __init__(self, port, *, host="127.0.0.1", timeout_s=0.5, window=1, **settings):
        declared = LinkSettings(
            host=host,
            port=port,
            timeout_ns=int(timeout_s * 1e9),
            requests_in_flight=window,
            **settings,
        )
        self.link = Link(declared, random.Random(1).random)
        self.connection = Connection(self.link, time.monotonic_ns)
        self.done = {}
        self.server = ""
        self._token = 0

    def ask(self, request, lane=Lane.COMMAND):
        self._token += 1
        self.link.submit(lane, request, self._token, time.monotonic_ns())
        return self._token

    def turn(self, wait_s_max=0.05):
        now = time.monotonic_ns()
        self.connection.flush(now)
        self._collect()
        wake = self.link.next_wake_ns(now)
        wait_ms = wait_s_max * 1e3 if wake is None else min(wait_s_max * 1e3, (wake - now) / 1e6)
        poll = select.poll()
        if (fd := self.connection.fileno()) is not None:
            poll.register(fd, select.POLLIN | self.connection.wants_write() * select.POLLOUT)
        for _, events in poll.poll(max(0.0, wait_ms)):
            now = time.monotonic_ns()
            if events & (select.POLLOUT | select.POLLERR | select.POLLHUP):
                self.connection.on_writable(now)
            if events & (select.POLLIN | select.POLLHUP):
                self.connection.on_readable(now)
        self._collect()

    def _collect(self):
        self.link.sent()
        self.done |= {c.token: c for c in self.link.completions()}

    def until(self, fact, within_s=10.0):
        deadline = time.monotonic() + within_s
        while not fact():
            assert time.monotonic() < deadline, f"not in {within_s} s; link: {self.link.message}"
            self.turn()

    def up(self):
        self.until(lambda: self.link.connected)

    def result(self, request, lane=Lane.COMMAND):
        token = self.ask(request, lane)
        self.until(lambda: token in self.done)
        return self.done[token]


@contextlib.contextmanager
def loop(*args, **kwargs):
    made = Loop(*args, **kwargs)
    try:
        yield made
    finally:
        made.connection.close()
