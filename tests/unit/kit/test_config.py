"""Settings from the environment."""

import enum
import re

import msgspec
import pytest

from ald.errors import InvalidInputError
from ald.kit import config


class Colour(enum.Enum):
    RED = "Red"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    port: int = 8443
    quick: bool = False
    colour: Colour = Colour.RED
    names: tuple[str, ...] = ()
    password: str = ""


def test_variables_are_converted_to_the_types_of_their_fields() -> None:
    loaded = config.load(
        Settings,
        {
            "ALD_NAME": "x",
            "ALD_PORT": "1",
            "ALD_QUICK": "true",
            "ALD_COLOUR": "Red",
            "ALD_NAMES": "a, b,",
            "HOME": "/",
        },
    )
    assert loaded == Settings(name="x", port=1, quick=True, colour=Colour.RED, names=("a", "b"))


def test_a_missing_required_variable_is_named() -> None:
    with pytest.raises(InvalidInputError, match="ALD_NAME: this variable is required"):
        config.load(Settings, {})


def test_an_unknown_variable_with_our_prefix_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"ALD_PROT \(is 1\): this variable is not known"):
        config.load(Settings, {"ALD_NAME": "x", "ALD_PROT": "1"})


def test_service_links_of_kubernetes_are_not_taken_for_ours() -> None:
    injected = {"ALD_SIMULATOR_SERVICE_HOST": "10.0.0.1", "ALD_SIMULATOR_PORT_502_TCP": "tcp://x"}
    assert config.load(Settings, {"ALD_NAME": "x", **injected}).name == "x"


def test_a_value_of_the_wrong_type_is_refused_with_its_name_and_value() -> None:
    with pytest.raises(InvalidInputError, match=re.escape("ALD_PORT (is many)")):
        config.load(Settings, {"ALD_NAME": "x", "ALD_PORT": "many"})


def test_secrets_are_masked_when_settings_are_printed() -> None:
    shown = config.effective(Settings(name="x", password="hush"), frozenset({"password"}))
    assert shown["ALD_PASSWORD"] == "********"
    assert shown["ALD_NAME"] == "x"
