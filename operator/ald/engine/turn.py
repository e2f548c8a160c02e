"""One call of the engine at work: the state as it changes, and the effects in the order in which they are wanted."""

from msgspec.structs import replace

from ald.engine import safety
from ald.engine.effects import Effect, Journal, Lane, Look, Target, Write
from ald.engine.layout import Layout
from ald.engine.state import Run, State
from ald.engine.transitions import Cause, next_state
from ald.errors import SafetyError
from ald.plant.model import Table
from ald.records.event import Event, MachineState, StateChanged


class Turn:
    """Collects what one input brings about; lives as long as one call of `step`."""

    def __init__(self, state: State, at_ns: int) -> None:
        self.state = state
        self.at_ns = at_ns
        self.effects: list[Effect] = []

    @property
    def wall_ns(self) -> int:
        """UTC now."""
        return self.at_ns + self.state.wall_offset_ns

    @property
    def run(self) -> Run:
        """The run in progress; there must be one."""
        assert self.state.run is not None, "a run is in progress"
        return self.state.run

    @property
    def layout(self) -> Layout:
        """The plant's look-up tables; there must be a plant."""
        assert self.state.layout is not None, "a plant is loaded"
        return self.state.layout

    def change(self, **changes: object) -> None:
        """Replace fields of the state."""
        self.state = replace(self.state, **changes)

    def change_run(self, **changes: object) -> None:
        """Replace fields of the run in progress."""
        self.state = replace(self.state, run=replace(self.run, **changes))

    def journal(self, event: Event) -> None:
        """Put `event` on record before whatever comes after."""
        self.effects.append(Journal(event=event))

    def write(self, lane: Lane, target: Target) -> int:
        """Hand a write to the link and return its token.

        Raises:
            SafetyError: a rule of `ald.engine.safety` forbids it; nothing of this turn is carried out.
        """
        broken = safety.violation(self.state, lane, target)
        if broken:
            raise SafetyError(broken)
        token = self.state.next_token
        self.change(next_token=token + 1)
        self.effects.append(Write(token=token, lane=lane, target=target))
        return token

    def look(self, table: Table, address: int, count: int) -> int:
        """Have bits or registers read now and return the token of the look."""
        token = self.state.next_token
        self.change(next_token=token + 1)
        self.effects.append(Look(token=token, table=table, address=address, count=count))
        return token

    def mark(self) -> tuple[State, int]:
        """Return where this turn stands, for `rewind`."""
        return self.state, len(self.effects)

    def rewind(self, mark: tuple[State, int]) -> None:
        """Forget everything since `mark`."""
        self.state, count = mark
        del self.effects[count:]

    def move(self, cause: Cause, reason: str, message: str) -> None:
        """Change the machine's state by the table and put it on record."""
        previous = self.state.machine
        state = next_state(previous, cause)
        assert state is not None, f"{cause.value} leads nowhere from {previous.value}"
        self.change(machine=state, reason=reason, message=message)
        self.journal(
            StateChanged(
                at_ns=self.at_ns,
                wall_ns=self.wall_ns,
                state=state,
                previous=previous,
                reason=reason,
                message=message,
                run=self.state.run.identity.uid if self.state.run else "",
            )
        )

    def explain(self, reason: str, message: str) -> None:
        """Say why the machine is in the state it is in, without changing that state."""
        self.change(reason=reason, message=message)

    def is_in(self, *states: MachineState) -> bool:
        """Tell whether the machine is in one of these states."""
        return self.state.machine in states
