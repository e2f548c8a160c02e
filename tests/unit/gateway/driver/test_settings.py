"""Where the driver keeps things."""

from pathlib import Path

import pytest

from ald.errors import InvalidInputError
from ald.gateway.driver.settings import Settings
from ald.kit.config import load

GIVEN = {"ALD_INSTALLATION": "i", "ALD_NAMESPACE": "n", "ALD_MACHINE": "m"}


def test_files_that_both_containers_share_lie_on_the_memory_volume():
    settings = load(Settings, GIVEN | {"ALD_RUN_DIR": "/r", "ALD_STATE_DIR": "/s"})
    shared = (settings.ring, settings.socket, settings.alive, settings.run_state)
    assert {p.parent for p in shared} == {Path("/r")}
    assert {p.parent for p in (settings.holder, settings.plant, settings.ledger)} == {Path("/s")}


def test_a_missing_variable_is_named():
    with pytest.raises(InvalidInputError, match="ALD_MACHINE"):
        load(Settings, {"ALD_INSTALLATION": "i", "ALD_NAMESPACE": "n"})
