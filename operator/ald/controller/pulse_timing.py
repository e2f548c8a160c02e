"""What a run's status says of its pulses, and whether they were as exact as the recipe wants them. Pure."""

from __future__ import annotations

from ald.controller.apply import Document
from ald.controller.conditions import Fact, find
from ald.wire import RunProgress

POWER_LOST = "Power was lost in the middle: nobody knows how exact the pulses before that were."
"""What is said of the pulses of a run whose gateway's memory was lost."""


def pulses_of(progress: RunProgress) -> Document:
    """Return `status.pulses`; without figures where the PLC timed all of them and nobody measured any."""
    if progress.timing.by_plc and not progress.timing.whole:
        return {"count": progress.pulses}
    return {
        "count": progress.pulses,
        "p50ErrorMs": _ms(progress.timing.p50_error_ns),
        "p99ErrorMs": _ms(progress.timing.p99_error_ns),
        "worstErrorMs": _ms(progress.worst_error_ns),
    }


def timing_met(progress: RunProgress) -> tuple[Fact, ...]:
    """Return the condition TimingMet; none where the gateway does not say what the recipe wants."""
    timing = progress.timing
    if timing.max_relative_error is None:
        return ()
    unknown = _unknown(progress)
    if unknown is not None:
        return (unknown,)
    limits = [f"{timing.max_relative_error:.1%} (timing.maxRelativeError)"]
    figures = [
        f"at most {timing.worst_relative_error:.1%} of the wanted width",
        f"at most {_ms(progress.worst_error_ns)} ms",
    ]
    is_met = timing.worst_relative_error <= timing.max_relative_error
    if timing.max_error_ns is not None:
        limits.append(f"{_ms(timing.max_error_ns)} ms (timing.maxError)")
        is_met = is_met and progress.worst_error_ns <= timing.max_error_ns
    found = f"Width errors of {timing.whole} pulses: {', '.join(figures)}; p99 {_ms(timing.p99_error_ns)} ms."
    message = f"{found} Allowed: {', '.join(limits)}."
    if timing.by_plc:
        message += f" Besides these: {_by_plc(progress)}."
    if is_met:
        return (_fact("True", "WithinLimits", message),)
    hint = " `ald run report` names the worst pulse."
    return (_fact("False", "TimingMissed", message + hint),)


def _unknown(progress: RunProgress) -> Fact | None:
    """Return why nothing can be said of the pulses, None where something can."""
    timing = progress.timing
    if progress.outcome is None:
        return _fact("Unknown", "Running", "Judged over all pulses when the run has ended.")
    if not progress.exact:
        return _fact("Unknown", "NothingMeasured", POWER_LOST)
    if timing.by_plc and not timing.whole:
        return _fact("Unknown", "TimedByPLC", f"{_by_plc(progress)}.")
    if not timing.whole:
        return _fact("Unknown", "NothingMeasured", "No pulse went from its opening to its end.")
    return None


def _by_plc(progress: RunProgress) -> str:
    """Say of the pulses that the PLC timed what is known: no error of them was measured, so none is judged."""
    timing = progress.timing
    return (
        f"{timing.by_plc} pulses were timed by the PLC itself; nobody measured them, and they are as exact as it is:"
        f" to {_ms(timing.plc_uncertainty_ns)} ms (plc.cycle)"
    )


def timing_known(run: Document) -> tuple[Fact, ...]:
    """Return the condition as the run has it, while the gateway is silent."""
    old = find(run, "TimingMet")
    return (_fact(old["status"], old["reason"], old["message"]),) if old else ()


def timing_lost(run: Document) -> tuple[Fact, ...]:
    """Return the condition of a run whose gateway has forgotten it; none where the gateway never spoke of it."""
    message = "How exact the pulses were is lost with the gateway's memory of the run."
    return (_fact("Unknown", "NothingMeasured", message),) if find(run, "TimingMet") else ()


def _fact(status: str, reason: str, message: str) -> Fact:
    return Fact(type="TimingMet", status=status, reason=reason, message=message)


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
