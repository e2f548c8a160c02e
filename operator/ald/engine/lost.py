"""What is known of a run that a dead executor has left: exactly where memory has outlived it, by its reservation where it has not."""

from msgspec.structs import replace

from ald.engine.inputs import OpenRun
from ald.wire import Reached

UNKNOWN_POSITION = "how far it had come is lost with the gateway's memory"


def known(found: OpenRun) -> OpenRun:
    """Return the run with nothing in it that is not known: of one whose memory is lost, what its reservation says."""
    if found.is_exact:
        return found
    bare = replace(found, step="", path="", iterations=(), width_counts=())
    made = found.reservation
    if made is None:
        return replace(bare, reached=Reached(), resumable=False)
    return replace(
        bare,
        reached=made.reached,
        begun=made.ordinal,
        leaves_done=made.leaves_done,
        pulses=made.pulses,
        resumable=found.resumable and not made.is_over,
    )


def position(found: OpenRun) -> str:
    """Return in plain words how far a run had come."""
    if found.is_exact:
        return f"the last step begun was number {found.ordinal}, {found.step}"
    made = found.reservation
    if made is None:
        return f"{UNKNOWN_POSITION}: any of its {found.leaves_total} steps may have begun, also some that are not on record"
    begun = f"{_place(made.begun)} had begun" if made.begun.step else "none of its steps is known"
    upto = "all that follows" if made.is_over else f"all up to {_place(made.reached)}"
    return f"{UNKNOWN_POSITION}: {begun}, and {upto} may have begun, also what is not on record"


def _place(reached: Reached) -> str:
    if not reached.iterations:
        return reached.step
    cycles = " ".join(f"{at}/{count}" for at, count in reached.iterations)
    return f"{reached.step} in cycle {cycles}"
