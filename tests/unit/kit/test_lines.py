"""Log lines of the driver."""

import io
import json

from ald.kit.lines import Level, Lines


class FixedClock:
    def monotonic_ns(self) -> int:
        return 0

    def wall_ns(self) -> int:
        return 1_700_000_000_123_456_789


def test_a_line_is_one_json_object_with_bound_facts() -> None:
    out = io.StringIO()
    Lines(Level.INFO, out, FixedClock(), machine="m").bind(run="r").info("run_started", cycles=3)
    assert json.loads(out.getvalue()) == {
        "ts": "2023-11-14T22:13:20.123456Z",
        "level": "info",
        "event": "run_started",
        "machine": "m",
        "run": "r",
        "cycles": 3,
    }


def test_lines_below_the_level_are_not_written() -> None:
    out = io.StringIO()
    log = Lines(Level.WARNING, out, FixedClock())
    log.info("quiet")
    log.error("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]
