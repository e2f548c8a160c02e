"""Numbered writes and the reads between them, through one link: no value may be of another time, and no write be done twice.

Every write carries a number of its own, ascending, so that a value that is read says how old it is, and the simulator's record
of writes says how often each was carried out.
"""

import time
from collections import Counter

from ald.plant.model import Table
from ald.plc import codec
from ald.plc.request import ReadRegisters, WriteRegisters

PLACE = 3000
CALM_S_MAX = 20.0


class Story:
    """Numbered writes and the reads between them, through one link."""

    def __init__(self, driver):
        self.driver = driver
        self.number = 0
        self.confirmed = 0
        self.asked = {}
        self.fates = {}
        self.errors = []

    def go_on(self, pairs):
        """Ask for writes with a read behind each, all at once, and wait for what becomes of them."""
        floor = self.confirmed
        tokens: dict[int, int | None] = {}
        for _ in range(pairs):
            self.number += 1
            words = (self.number >> 16, self.number & 0xFFFF)
            tokens[self.driver.ask(WriteRegisters(PLACE, words))] = self.number
            tokens[self.driver.ask(ReadRegisters(Table.HOLDING, PLACE, 2))] = None
        limit_s = 3 * self.driver.link.settings.timeout_ns / 1e9 + 1
        self.driver.until(lambda: self.driver.done.keys() >= tokens.keys(), within_s=limit_s)
        for token, number in tokens.items():
            completion = self.driver.done.pop(token)
            if completion.error is not None:
                self.errors.append(completion.error)
            if number is not None:
                self.fates[number] = completion
                self.confirmed = number if completion.ok else self.confirmed
            elif completion.ok:
                high, low = codec.words(completion.data)
                seen = high << 16 | low
                assert floor <= seen <= self.number, "a value of another time"
                floor = max(floor, self.confirmed)

    def until_confirmed(self, pairs):
        """Go on until the last write is confirmed: a computer that is busy may keep even a sound PLC from answering."""
        deadline = time.monotonic() + CALM_S_MAX
        while True:
            self.driver.up()
            self.go_on(pairs)
            if self.fates[self.number].ok:
                return
            assert time.monotonic() < deadline, self.driver.link.message

    def check(self, writes):
        """Compare what the link says of each write with how often the PLC carried it out."""
        carried_out = Counter(
            w["values"][0] << 16 | w["values"][1]
            for w in writes
            if w["address"] == PLACE and len(w["values"]) == 2
        )
        for number, completion in self.fates.items():
            allowed = {1} if completion.ok else {0, 1} if completion.unknown else {0}
            assert carried_out[number] in allowed, completion
