"""Fixture modules, deterministic property tests, and the check of requirement ids."""

import asyncio
import functools
from pathlib import Path

import hypothesis
import hypothesis.configuration
import pytest
import yaml

# One family of fixtures per file in tests/fixtures; add yours here.
pytest_plugins = [
    "fixtures.apiserver",
    "fixtures.postgres",
    "fixtures.resources",
    "fixtures.system",
    "fixtures.simulator",
    "fixtures.processes",
    "fixtures.controller",
    "fixtures.front",
    "fixtures.history",
    "fixtures.logger",
    "fixtures.ways",
    "fixtures.driver_process",
    "fixtures.disk",
    "fixtures.program",
]

ROOT = Path(__file__).parent.parent

# looptime asks for a loop before every test, and until one was set or refused asyncio makes one that nobody closes.
asyncio.set_event_loop(None)

# The same examples in every run: a red build is a change in the code, never bad luck.
hypothesis.configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
hypothesis.settings.register_profile(
    "ald", derandomize=True, database=None, deadline=None, print_blob=True
)
hypothesis.settings.load_profile("ald")


@functools.cache
def requirement_ids() -> frozenset[str]:
    return frozenset(yaml.safe_load((ROOT / "tests" / "requirements.yaml").read_text()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a requirement mark whose id no row of tests/requirements.yaml has."""
    unknown = {
        f"{item.nodeid}: requirement {row!r} is not in tests/requirements.yaml"
        for item in items
        for mark in item.iter_markers("requirement")
        for row in mark.args
        if row not in requirement_ids()
    }
    if unknown:
        raise pytest.UsageError("\n".join(sorted(unknown)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no test that has to be alone run beside others."""
    if item.get_closest_marker("serial") and hasattr(item.config, "workerinput"):
        pytest.fail("marked serial, so it runs alone: leave out -n, or add -m 'not serial'")
