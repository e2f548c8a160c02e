"""The program: a recipe compiled against one machine, linear, bounded and frozen.

Loops are instructions with counters and are never unrolled, so a program of 100,000 cycles is as long as one of two. Every leaf
carries its `path` in the recipe (`spec.steps[3].loop.steps[0]`) and its `name` as people know it (`deposit/tma`).
Durations are nanoseconds; values are in the unit of the parameter or gas.
"""

import hashlib

import msgspec

LOOP_DEPTH_MAX = 4
"""Loops nest at most this deep; the resource schema unrolls as many levels."""

INSTRUCTIONS_MAX = 20_000
"""Leaves and marks in one program; a recipe of 200 kB stays below it."""

BRANCHES_MAX = 8
"""Branches of one `together`; what is remembered of each pulse under way has to find room in the driver's memory."""

LEAVES_EXECUTED_MAX = 50_000_000
"""Leaves executed in one run, loops multiplied out; a bound for counters and estimates."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True, tag="valve"):
    """Open one valve for `open_ns`. The next instruction is due `open_ns` after this one was, whatever the link took."""

    path: str
    name: str
    valve: str
    open_ns: int


class Purge(msgspec.Struct, frozen=True, kw_only=True, tag="purge"):
    """Let `gas` flow at `flow` for `duration_ns`, then give its set point back the value it had before."""

    path: str
    name: str
    gas: str
    flow: float
    duration_ns: int


class Set(msgspec.Struct, frozen=True, kw_only=True, tag="set"):
    """Write one parameter or one gas set point; exactly one of the two is named."""

    path: str
    name: str
    value: float
    parameter: str | None = None
    gas: str | None = None


class Ramp(msgspec.Struct, frozen=True, kw_only=True, tag="ramp"):
    """Move a set point from where it is to `to` at `per_second` (positive, unit per second), one write a second at most."""

    path: str
    name: str
    to: float
    per_second: float
    parameter: str | None = None
    gas: str | None = None


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag="wait"):
    """Let time pass."""

    path: str
    name: str
    duration_ns: int


class WaitFor(msgspec.Struct, frozen=True, kw_only=True, tag="waitFor"):
    """Wait until `condition` (CEL) has been true for `stable_ns`; after `timeout_ns` the step fails.

    `reads` names every parameter in the condition, extracted at compile time: a bad or stale one makes the condition false
    whatever CEL says of it.
    """

    path: str
    name: str
    condition: str
    reads: tuple[str, ...]
    stable_ns: int
    timeout_ns: int


class Prompt(msgspec.Struct, frozen=True, kw_only=True, tag="prompt"):
    """Hold until somebody confirms; after `timeout_ns` the step fails."""

    path: str
    name: str
    message: str
    timeout_ns: int


class Loop(msgspec.Struct, frozen=True, kw_only=True, tag="loop", omit_defaults=True):
    """Run what follows, up to the `EndLoop` at index `end`, from iteration `first` to `last`; `depth` counts from 0.

    `count` is how often the recipe runs it. `first` and `last` (None: `count`) differ from 1 and `count` only where a run begins
    in the middle (`ald.program.start_at`). A program that begins at its beginning does not say them, so that its digest is what
    it was before they were known; a gateway that does not know them refuses one that does by its digest.
    """

    path: str
    name: str
    count: int
    depth: int
    end: int
    first: int = 1
    last: int | None = None

    @property
    def final(self) -> int:
        """The last iteration."""
        return self.count if self.last is None else self.last

    @property
    def times(self) -> int:
        """How often it runs."""
        return self.final - self.first + 1


class EndLoop(msgspec.Struct, frozen=True, kw_only=True, tag="endLoop"):
    """Go back to the instruction after the `Loop` at index `begin`, or on when its count is done."""

    begin: int


class Together(msgspec.Struct, frozen=True, kw_only=True, tag="together"):
    """Run the branches that follow side by side, and go on behind them when all are done.

    The leaves of the first branch come right after this mark, those of the second after them, and so on: `lengths` says how many
    each has, `names` what they are called.
    """

    path: str
    name: str
    names: tuple[str, ...]
    lengths: tuple[int, ...]


Leaf = Pulse | Purge | Set | Ramp | Wait | WaitFor | Prompt
Instruction = Pulse | Purge | Set | Ramp | Wait | WaitFor | Prompt | Loop | EndLoop | Together


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a program will do: leaves, duration between two bounds (equal when exact), openings of each valve."""

    leaves: int
    minimum_ns: int
    maximum_ns: int
    openings: dict[str, int]


class Separation(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof found for one exclusion group: the smallest counted purge between two of its valves, and where.

    `smallest_purge_ns` is None where no two different valves of the group follow each other. The cleanup may follow any step, so
    that what it purges before its first opening lies between that and any other valve of the steps.
    """

    group: str
    smallest_purge_ns: int | None
    path: str


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The largest width error that a recipe allows its pulses, absolute (None: any) and as a share of the wanted width.

    allow_short: run pulses too, all the same, that the link cannot time that well.
    """

    max_error_ns: int | None = None
    max_relative_error: float = 0.2
    allow_short: bool = False


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions, of which those from index `cleanup` on run once after success or a failed step.

    `inputs` are the resolved inputs as written (numbers, booleans, durations in their text form). `timing` is None in programs
    of versions that did not know it.
    """

    recipe: str
    recipe_uid: str
    recipe_generation: int
    plant_digest: str
    inputs: dict[str, float | int | bool | str]
    instructions: tuple[Instruction, ...]
    cleanup: int
    estimate: Estimate
    separations: tuple[Separation, ...]
    timing: Timing | None = None


def digest(program: Program) -> str:
    """Return the SHA-256 of the program's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(program, order="deterministic")).hexdigest()
