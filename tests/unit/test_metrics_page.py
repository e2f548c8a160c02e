"""Every metric of every process is on the page for readers, and has a test in which it moves."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ald.controller.metrics import Metrics as OperatorMetrics
from ald.gateway.front.board import Board
from ald.gateway.front.feed import Marks
from ald.gateway.front.metrics import Metrics as FrontMetrics
from ald.kit.clock import SystemClock
from ald.logger.metrics import Metrics as LoggerMetrics
from ald.wire import DriverReply
from fixtures.driver import FIGURES, IDLE

ROOT = Path(__file__).parents[2]
MOVED: dict[str, str] = yaml.safe_load((ROOT / "tests/metrics.yaml").read_text())
ROW = re.compile(r"^\| `(ald_\w+)` \| (counter|gauge|histogram) \| (.*?) \|", re.MULTILINE)


class Journal:
    pulses = 1


async def front_text() -> bytes:
    board = Board(SystemClock())
    board.answered(DriverReply(id=1, at_ns=1, status=IDLE, figures=FIGURES))
    board.set_journal(
        Marks(feed="f", latest=1, committed=0, dropped_to=0, lost=0, ring="", ring_sequence=0),
        ok=True,
        message="",
    )
    journal: Any = Journal()
    return FrontMetrics(board, journal).text()


def families(text: bytes) -> dict[str, tuple[str, str]]:
    """Return kind and help of each metric."""
    found = text_string_to_metric_families(text.decode())
    # When a counter was made, which the library adds by itself.
    return {
        family.name: (family.type, family.documentation)
        for family in found
        if not family.name.endswith("_created")
    }


async def all_families() -> dict[str, tuple[str, str]]:
    texts = (await front_text(), LoggerMetrics().text(), OperatorMetrics().text())
    return {name: what for text in texts for name, what in families(text).items()}


def on_the_page() -> dict[str, str]:
    rows = ROW.findall((ROOT / "docs/metrics.md").read_text())
    return {name.removesuffix("_total"): kind for name, kind, _ in rows}


async def test_the_page_lists_exactly_what_there_is():
    assert on_the_page() == {name: kind for name, (kind, _) in (await all_families()).items()}


async def test_every_metric_names_a_test_in_which_it_moves():
    assert sorted(MOVED) == sorted(await all_families())


@pytest.mark.parametrize("name", MOVED)
def test_the_test_is_there_and_speaks_of_the_metric(name):
    file, _, test = MOVED[name].partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert f"def {test}(" in text
    body = text.partition(f"def {test}(")[2].partition("\ndef ")[0].partition("\nasync def ")[0]
    assert name in body or 'cause="gateway"' in body
