"""Whether a value may be written to a parameter: the one home of that rule, for recipes, safe states and the engine."""

import math

from ald.errors import InvalidInputError, Violation
from ald.plant.model import DataType, Parameter
from ald.plant.words import FLOATS, decode, encode

ROUNDING = 1e-6
"""Share of a raw step by which float arithmetic may carry a value over its limit."""

FLOW_SHARE_MIN = 0.9
"""Least share of the flow that a purge asks for that counts as flowing."""


def limit_violation(parameter: Parameter, value: float, path: str) -> Violation | None:
    """Return why `value` (in the parameter's unit) may not be written to this parameter's registers, or None.

    Who may write is another matter: see `Parameter.writable` and the owners in `ald.plant.addresses`.
    """
    if parameter.point.type is DataType.BOOL and value not in (0, 1):
        return Violation(
            path=path,
            value=f"{value:g}",
            rule=f"{parameter.name} is a switch: 0 or 1",
            hint="write 0, 1, false or true",
        )
    low = -math.inf if parameter.minimum is None else parameter.minimum
    high = math.inf if parameter.maximum is None else parameter.maximum
    if not low <= value <= high:
        unit = f" {parameter.unit}" if parameter.unit else ""
        return Violation(
            path=path,
            value=f"{value:g}",
            rule=f"{parameter.name} takes {low:g} to {high:g}{unit}",
            hint="choose a value in that range, or change the range in the machine",
        )
    try:
        held = decode(parameter, encode(parameter, value))
    except InvalidInputError as error:
        found = error.violations[0]
        return Violation(path=path, value=found.value, rule=found.rule, hint=found.hint)
    slack = ROUNDING * abs(parameter.scale)
    # A whole raw value may lie half a step away, and so beyond a limit that lies between two of them.
    if parameter.point.type not in FLOATS and not low - slack <= held <= high + slack:
        return Violation(
            path=path,
            value=f"{value:g}",
            rule=f"the nearest value that {parameter.name} can hold is {held:g}, and it takes {low:g} to {high:g}",
            hint="choose a value of which the nearest whole raw value lies in the range",
        )
    return None


def flow_violation(setpoint: Parameter, flow: float, path: str) -> Violation | None:
    """Return why a purge with `flow`, which may be written to its gas's set point, would not flow as it says, or None.

    The nearest raw value may lie far below where a raw step is coarse: of a gas without a feedback nobody would notice.
    """
    held = decode(setpoint, encode(setpoint, flow))
    if held >= FLOW_SHARE_MIN * flow:
        return None
    return Violation(
        path=path,
        value=f"{flow:g}",
        rule=f"the nearest value that {setpoint.name} can hold is {held:g}, less than {FLOW_SHARE_MIN:.0%} of this flow",
        hint="choose a flow that it can hold",
    )
