"""Steps of recipes in few words, and what a program made of them executes, by an oracle of its own."""

from collections.abc import Iterator

from ald.program.model import EndLoop, Loop, Together
from ald.program.start_at import RESTORE_MARK

WARM = "value('chamber.temperature') > 198.0"
COOL = "value('chamber.temperature') < 152.0"
FLOWS = "value('mfc-1.flow-read') > 19.0"


def loop(name, count, *steps):
    return {"name": name, "loop": {"count": count, "steps": list(steps)}}


def purge(name, duration="1s", gas="N2", flow=20):
    return {"name": name, "purge": {"gas": gas, "flow": flow, "duration": duration}}


def pulse(valve, name=None):
    return {"name": name or valve, "valve": {"valve": valve, "open": "40ms"}}


def assign(name, value, parameter="chamber.setpoint"):
    return {"name": name, "set": {"parameter": parameter, "value": value}}


def flow(name, value, gas="N2"):
    return {"name": name, "set": {"gas": gas, "value": value}}


def ramp(name, to):
    return {"name": name, "ramp": {"parameter": "chamber.setpoint", "to": to, "rate": "10 °C/min"}}


def wait(name, duration="1s"):
    return {"name": name, "wait": {"duration": duration}}


def wait_for(name, condition):
    return {"name": name, "waitFor": {"condition": condition, "timeout": "30m"}}


def side_by_side(name, **branches):
    parts = [{"name": branch, "steps": list(steps)} for branch, steps in branches.items()]
    return {"name": name, "together": {"branches": parts}}


CYCLE = (pulse("tma"), purge("purge-tma", "5s"), pulse("water"), purge("purge-water", "8s"))
DEPOSIT = loop("deposit", 100, *CYCLE)


def restored(program):
    """Return the names of what is restored, without their mark, in order."""
    return [
        each.name.removeprefix(RESTORE_MARK)
        for each in program.instructions
        if not isinstance(each, EndLoop | Loop | Together) and each.name.startswith(RESTORE_MARK)
    ]


def executed(program) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the leaves of the steps as they are executed, with the iterations of the loops around them: by an oracle of its own."""

    def run(begin, behind, around) -> Iterator[tuple[str, tuple[int, ...]]]:
        at = begin
        while at < behind:
            each = program.instructions[at]
            if isinstance(each, Loop):
                for iteration in range(each.first, each.final + 1):
                    yield from run(at + 1, each.end, (*around, iteration))
                at = each.end
            elif not isinstance(each, Together):
                yield each.name, around
            at += 1

    yield from run(0, program.cleanup, ())
