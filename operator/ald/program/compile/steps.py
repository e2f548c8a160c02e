"""From the steps of a recipe to instructions, every fault noted with its path."""

from collections.abc import Mapping, Sequence

from ald.api import recipe as api
from ald.errors import InvalidInputError
from ald.plant import timed_pulse
from ald.plant.limits import flow_violation, limit_violation
from ald.plant.model import DataType, Parameter, Plant
from ald.program.compile.conditions import check_condition, compile_condition
from ald.program.compile.findings import Findings
from ald.program.compile.quantities import Number, Quantities
from ald.program.condition import Condition
from ald.program.model import (
    LOOP_DEPTH_MAX,
    EndLoop,
    Instruction,
    Leaf,
    Loop,
    Prompt,
    Pulse,
    Purge,
    Ramp,
    Set,
    Together,
    Wait,
    WaitFor,
)
from ald.units import format_duration, parse_rate


class Names:
    """What steps may refer to in one plant, prepared once."""

    def __init__(self, plant: Plant) -> None:
        self.parameters: Mapping[str, Parameter] = {p.name: p for p in plant.parameters}
        self.valves = {valve.name: valve for valve in plant.valves}
        self.gases = {gas.name: self.parameters[gas.setpoint] for gas in plant.gases}
        self.owners = {gas.setpoint: gas.name for gas in plant.gases}


class Steps:
    """Compiles lists of steps one after another into `instructions`.

    Without `names` only what needs no machine is checked, and `instructions` mean nothing. `provable` turns False when an
    instruction that the proof counts on could not be made.
    """

    def __init__(self, names: Names | None, quantities: Quantities, findings: Findings) -> None:
        self.instructions: list[Instruction] = []
        self.provable = True
        self._names = names
        self._quantities = quantities
        self._findings = findings
        self._depth = 0

    def add(self, steps: Sequence[api.Step], path: str, prefix: str = "") -> None:
        """Compile one list; `prefix` is the names of the loops around it, `deposit/`."""
        self._check_names([step.name for step in steps], path, "steps")
        for index, step in enumerate(steps):
            here = f"{path}[{index}]"
            name = prefix + step.name
            if step.loop is not None:
                self._loop(step.loop, here, name)
            elif step.together is not None:
                self._together(step.together, here, name)
            else:
                self._add_leaf(step, here, name)

    def _loop(self, step: api.LoopStep, path: str, name: str) -> None:
        if self._depth == LOOP_DEPTH_MAX:
            self._findings.add(
                f"{path}.loop",
                f"loops nest at most {LOOP_DEPTH_MAX} deep",
                "flatten the innermost loops",
            )
            self.provable = False
            return
        count = self._quantities.count(
            step.count, step.count_from, f"{path}.loop.count", api.LOOP_COUNT_MAX
        )
        if count is None:
            self.provable = False
        begin = len(self.instructions)
        # The place of the loop is kept until its end is known.
        self.instructions.append(EndLoop(begin=begin))
        self._depth += 1
        self.add(step.steps, f"{path}.loop.steps", f"{name}/")
        self._depth -= 1
        end = len(self.instructions)
        self.instructions[begin] = Loop(
            path=path, name=name, count=count or 1, depth=self._depth, end=end
        )
        self.instructions.append(EndLoop(begin=begin))

    def _together(self, step: api.TogetherStep, path: str, name: str) -> None:
        """Lay the branches out one after another behind their mark."""
        here = f"{path}.together.branches"
        self._check_names([branch.name for branch in step.branches], here, "branches")
        mark = len(self.instructions)
        # The place of the mark is kept until the lengths are known.
        self.instructions.append(EndLoop(begin=mark))
        lengths = []
        for index, branch in enumerate(step.branches):
            begin = len(self.instructions)
            within = f"{here}[{index}].steps"
            self._check_names([leaf.name for leaf in branch.steps], within, "steps")
            for number, leaf in enumerate(branch.steps):
                self._add_leaf(leaf, f"{within}[{number}]", f"{name}/{branch.name}/{leaf.name}")
            lengths.append(len(self.instructions) - begin)
        self.instructions[mark] = Together(
            path=path,
            name=name,
            names=tuple(branch.name for branch in step.branches),
            lengths=tuple(lengths),
        )

    def _check_names(self, names: Sequence[str], path: str, what: str) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self._findings.add(
                    f"{path}[{index}].name",
                    f"two {what} of one list have this name",
                    f"give each of the {what} a name of its own",
                    value=name,
                )

    def _add_leaf(self, step: api.LeafStep, path: str, name: str) -> None:
        leaf = self._leaf(step, path, name)
        if leaf is not None:
            self.instructions.append(leaf)
        elif step.kind in ("valve", "purge"):
            self.provable = False

    def _leaf(self, step: api.LeafStep, path: str, name: str) -> Leaf | None:
        """Return the instruction of a step that is no loop; None, noted, where it cannot be made."""
        leaf: Leaf | None = None
        if step.valve is not None:
            leaf = self._valve(step.valve, path, name)
        elif step.purge is not None:
            leaf = self._purge(step.purge, path, name)
        elif step.set is not None:
            leaf = self._set(step.set, path, name)
        elif step.ramp is not None:
            leaf = self._ramp(step.ramp, path, name)
        elif step.wait is not None:
            leaf = self._wait(step.wait, path, name)
        elif step.wait_for is not None:
            leaf = self._wait_for(step.wait_for, path, name)
        elif step.prompt is not None:
            leaf = self._prompt(step.prompt, path, name)
        return leaf

    def _valve(self, step: api.ValveStep, path: str, name: str) -> Pulse | None:
        field = f"{path}.valve.open"
        open_ns = self._quantities.duration_ns(step.open, step.open_from, field)
        if self._names is None:
            return None
        valve = self._names.valves.get(step.valve)
        if valve is None:
            self._findings.unknown(
                f"{path}.valve.valve", "valve", step.valve, self._names.valves.keys()
            )
            return None
        if open_ns is None:
            return None
        where = field if step.open is not None else f"{field}From"
        if open_ns > valve.max_open_ns:
            self._findings.add(
                where,
                f"valve {valve.name} opens for at most {format_duration(valve.max_open_ns)}",
                "choose a shorter time",
                value=format_duration(open_ns),
            )
            return None
        broken = timed_pulse.broken(valve.timed, open_ns) if valve.timed is not None else ""
        if broken:
            self._findings.add(
                where,
                f"valve {valve.name}: {broken}",
                "choose a width that its duration register holds",
                value=format_duration(open_ns),
            )
            return None
        return Pulse(path=path, name=name, valve=valve.name, open_ns=open_ns)

    def _purge(self, step: api.PurgeStep, path: str, name: str) -> Purge | None:
        here = f"{path}.purge"
        duration_ns = self._quantities.duration_ns(
            step.duration, step.duration_from, f"{here}.duration"
        )
        flow = self._quantities.number(step.flow, step.flow_from, f"{here}.flow", step.unit)
        setpoint = self._target(None, step.gas, here)
        if setpoint is None:
            return None
        self._check_unit(setpoint, step.unit, step.flow_from, f"{here}.flow")
        value = self._value(setpoint, flow)
        if flow is None or value is None or duration_ns is None:
            return None
        found = flow_violation(setpoint, value, flow.path)
        if found is not None:
            self._findings.extend([found])
            return None
        return Purge(path=path, name=name, gas=step.gas, flow=value, duration_ns=duration_ns)

    def _set(self, step: api.SetStep, path: str, name: str) -> Set | None:
        here = f"{path}.set"
        number = self._quantities.number(step.value, step.value_from, f"{here}.value", step.unit)
        target = self._target(step.parameter, step.gas, here)
        if target is None:
            return None
        self._check_unit(target, step.unit, step.value_from, f"{here}.value")
        value = self._value(target, number)
        if value is None:
            return None
        return Set(path=path, name=name, value=value, parameter=step.parameter, gas=step.gas)

    def _ramp(self, step: api.RampStep, path: str, name: str) -> Ramp | None:
        here = f"{path}.ramp"
        number = self._quantities.number(step.to, step.to_from, f"{here}.to", step.unit)
        target = self._target(step.parameter, step.gas, here)
        if target is None:
            return None
        self._check_unit(target, step.unit, step.to_from, f"{here}.to")
        if target.point.type is DataType.BOOL:
            self._findings.add(here, f"{target.name} is a switch and has no ramp", "use set")
            return None
        value = self._value(target, number)
        try:
            per_second = parse_rate(step.rate, target.unit, f"{here}.rate")
        except InvalidInputError as error:
            self._findings.extend(error.violations)
            return None
        if value is None:
            return None
        return Ramp(
            path=path,
            name=name,
            to=value,
            per_second=per_second,
            parameter=step.parameter,
            gas=step.gas,
        )

    def _wait(self, step: api.WaitStep, path: str, name: str) -> Wait | None:
        duration_ns = self._quantities.duration_ns(
            step.duration, step.duration_from, f"{path}.wait.duration"
        )
        return None if duration_ns is None else Wait(path=path, name=name, duration_ns=duration_ns)

    def _wait_for(self, step: api.WaitForStep, path: str, name: str) -> WaitFor | None:
        here = f"{path}.waitFor"
        timeout_ns = self._quantities.duration_ns(step.timeout, None, f"{here}.timeout")
        stable_ns = self._findings.duration_ns(step.stable_for, f"{here}.stableFor")
        if timeout_ns is not None and stable_ns is not None and stable_ns >= timeout_ns:
            self._findings.add(
                f"{here}.timeout",
                f"the condition must be true for {step.stable_for}, and the step fails before that",
                "write a longer timeout",
                value=step.timeout,
            )
        condition = compile_condition(step.condition, f"{here}.condition", self._findings)
        if condition is None or not self._check_condition(condition, f"{here}.condition"):
            return None
        if timeout_ns is None or stable_ns is None:
            return None
        return WaitFor(
            path=path,
            name=name,
            condition=step.condition,
            reads=condition.reads,
            stable_ns=stable_ns,
            timeout_ns=timeout_ns,
        )

    def _prompt(self, step: api.PromptStep, path: str, name: str) -> Prompt | None:
        timeout_ns = self._quantities.duration_ns(step.timeout, None, f"{path}.prompt.timeout")
        if timeout_ns is None:
            return None
        return Prompt(path=path, name=name, message=step.message, timeout_ns=timeout_ns)

    def _check_condition(self, condition: Condition, path: str) -> bool:
        """Return whether every parameter exists, and can be commanded where its set point is asked for."""
        if self._names is None:
            return True
        parameters, owners = self._names.parameters, self._names.owners
        return check_condition(condition, path, parameters, owners, self._findings)

    def _target(self, parameter: str | None, gas: str | None, path: str) -> Parameter | None:
        """Return the parameter that a step writes, by its own name or by its gas; None, noted, where it may not."""
        names = self._names
        if names is None:
            return None
        if gas is not None:
            if gas not in names.gases:
                self._findings.unknown(f"{path}.gas", "gas", gas, names.gases.keys())
            return names.gases.get(gas)
        assert parameter is not None, "the model has one of parameter and gas"
        path = f"{path}.parameter"
        found = names.parameters.get(parameter)
        if found is None:
            self._findings.unknown(path, "parameter", parameter, names.parameters.keys())
        elif parameter in names.owners:
            owner = names.owners[parameter]
            rule, hint = f"the parameter belongs to gas {owner}", f"write gas: {owner} instead"
            self._findings.add(path, rule, hint, value=parameter)
            return None
        elif not found.writable:
            hint = "name another parameter, or make it writable in the machine"
            self._findings.add(path, "the parameter is not writable", hint, value=parameter)
            return None
        return found

    def _value(self, target: Parameter, number: Number | None) -> float | None:
        if number is None:
            return None
        if number.is_bool and target.point.type is not DataType.BOOL:
            self._findings.add(
                number.path,
                f"{target.name} takes a number",
                "write a number",
                value=bool(number.value),
            )
            return None
        found = limit_violation(target, number.value, number.path)
        if found is not None:
            self._findings.extend([found])
            return None
        return number.value

    def _check_unit(self, target: Parameter, unit: str | None, name: str | None, path: str) -> None:
        """A unit that the step or the input `name` says must be the machine's: nothing here converts."""
        declared = target.unit or "no unit"
        if unit is not None and unit != target.unit:
            hint = f"write the value in {declared}" if target.unit else "leave the unit out"
            where = f"{path.rpartition('.')[0]}.unit"
            self._findings.add(where, f"{target.name} is in {declared}", hint, value=unit)
        said = self._quantities.unit_of(name)
        if said and said != target.unit:
            rule = f"input {name} is in {said}, {target.name} in {declared}"
            hint = "declare the input in the unit of the machine"
            self._findings.add(f"{path}From", rule, hint, value=name)
