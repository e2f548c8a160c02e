"""Where a run that ended early can be taken up by another one, in the words of its `startAt`."""

from collections.abc import Sequence


def go_on(step: str, iterations: Sequence[tuple[int, int]], *, is_certain: bool = True) -> str:
    """Return what to write in a new run, for the last step begun (`deposit/tma`) and (iteration, count) of the loops around it.

    The cycle that was begun is left out: whether it was done far enough is for a person to judge. Empty outside all loops.
    `is_certain` False: it is the last one that may have begun, as after a loss of power.
    """
    if not iterations:
        return ""
    *outer, (cycle, count) = iterations
    loop = "/".join(step.split("/")[: len(iterations)])
    around = f", outerCycles: [{', '.join(str(at) for at, _ in outer)}]" if outer else ""
    how = "was begun" if is_certain else "may have begun, and all before it"
    begun = f"cycle {cycle} of {count} of {loop} {how}"
    if cycle == count:
        return f"{begun}; a new run does it once more with startAt: {{step: {loop}, cycle: {cycle}{around}}}"
    return f"{begun}; a new run goes on behind it with startAt: {{step: {loop}, cycle: {cycle + 1}{around}}}"
