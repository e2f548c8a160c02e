"""A prompt: the run is held until somebody confirms it by its id, fails when nobody does, and is over with a stop."""

from ald.engine import demand, hold
from ald.engine.inputs import ConfirmAsked
from ald.engine.state import Prompting, Run, phases
from ald.engine.turn import Turn
from ald.engine.verdict import Done, Failed, Verdict
from ald.errors import RefusedError
from ald.program.model import Prompt
from ald.records.event import PromptConfirmed
from ald.units import format_duration

UID_DIGITS = 8
"""Of the run's uid, in the id of a prompt: with the ordinal of the step it tells prompts of all runs apart."""

REASON = "Prompt"


def begin(turn: Turn, leaf: Prompt) -> None:
    """Hold the run and show the message; the step has a time-out of its own, whatever the machine's maxHold."""
    run = turn.run
    prompt_id = f"{run.identity.uid[:UID_DIGITS]}-{run.ordinal}"
    deadline_ns = turn.at_ns + leaf.timeout_ns
    turn.change_run(phase=Prompting(leaf=leaf, prompt_id=prompt_id, deadline_ns=deadline_ns))
    hold.start(turn, REASON, _message(leaf, prompt_id), longest_ns=leaf.timeout_ns)


def tick(turn: Turn, phase: Prompting) -> Verdict | None:
    """Fail when nobody has confirmed in time; a stop needs nobody."""
    if demand.is_stopping(turn.run):
        return _done(turn)
    if turn.at_ns < phase.deadline_ns:
        return None
    return Failed(error=f"nobody confirmed within {format_duration(phase.leaf.timeout_ns)}")


def confirm(turn: Turn, given: ConfirmAsked) -> Verdict:
    """Let the run go on.

    Raises:
        RefusedError: no prompt of this id waits.
    """
    run = turn.state.run
    phase = waiting(run) if run is not None and turn.state.ending is None else None
    if run is None or phase is None or phase.prompt_id != given.target:
        other = f"; the prompt that waits is {phase.prompt_id}" if phase is not None else ""
        raise RefusedError("NoPrompt", f"no prompt {given.target} waits for an answer{other}")
    turn.journal(
        PromptConfirmed(
            at_ns=turn.at_ns,
            wall_ns=turn.wall_ns,
            run=run.identity.uid,
            ordinal=run.ordinal,
            prompt=phase.prompt_id,
            message=phase.leaf.message,
            by=given.by,
            comment=given.comment,
        )
    )
    return _done(turn)


def waiting(run: Run) -> Prompting | None:
    """Return the prompt that waits, if one does: while it holds the run no other begins."""
    return next((phase for phase in phases(run) if isinstance(phase, Prompting)), None)


def _done(turn: Turn) -> Done:
    hold.end(turn, REASON)
    return Done(due_ns=turn.at_ns, nominal_ns=0)


def _message(leaf: Prompt, prompt_id: str) -> str:
    return f"{leaf.message} (a MachineAction with verb: Confirm and target: {prompt_id} goes on)"
