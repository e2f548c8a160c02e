"""The machine as data: its parameters, valves, gases and rules, and how register words become values."""
