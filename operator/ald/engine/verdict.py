"""What a leaf has come to, as its module tells the course of the run."""

import msgspec

from ald.records.event import RunOutcome


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The leaf is done; the next one is due at `due_ns` on the absolute schedule.

    `nominal_ns` is the shortest time that the leaf could have taken; what it took more makes the run later.
    """

    due_ns: int
    nominal_ns: int


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The leaf failed, with every valve shut: the cleanup is next."""

    error: str


class Fatal(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing further may be tried: safe state, and the run ends with this outcome."""

    outcome: RunOutcome
    message: str


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """All branches are done: the instruction at `index` is next, due at `due_ns`. `nominal_ns` as in `Done`."""

    index: int
    due_ns: int
    nominal_ns: int


Verdict = Done | Failed | Fatal | Joined
