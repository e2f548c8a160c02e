import msgspec
import pytest

from ald.controller.settings import Settings, gateway_resources, lifetime_s
from ald.errors import InvalidInputError
from ald.kit.config import load

REQUIRED = {"ALD_OPERATOR_NAMESPACE": "ald-system", "ALD_GATEWAY_IMAGE": "ald/gateway:1"}


def test_two_variables_are_enough():
    settings = load(Settings, REQUIRED)
    assert settings.namespaces == ()
    assert lifetime_s("ALD_CERTIFICATE_LIFETIME", settings.certificate_lifetime) == 90 * 86_400
    assert gateway_resources(settings).driver.limits["memory"]


def test_lists_are_separated_by_commas():
    settings = load(Settings, REQUIRED | {"ALD_NAMESPACES": "a, b"})
    assert settings.namespaces == ("a", "b")


@pytest.mark.parametrize(("text", "seconds"), [("2160h", 7_776_000), ("1h30m", 5400), ("6s", 6)])
def test_a_lifetime_is_hours_minutes_and_seconds(text, seconds):
    assert lifetime_s("ALD_CERTIFICATE_LIFETIME", text) == seconds


@pytest.mark.parametrize("text", ["", "90", "90d", "1.5h", "2s", "h", "100000000h", " 5m"])
def test_anything_else_is_refused_by_the_name_of_the_variable(text):
    with pytest.raises(InvalidInputError, match="ALD_CERTIFICATE_LIFETIME"):
        lifetime_s("ALD_CERTIFICATE_LIFETIME", text)


def test_an_amount_may_be_a_number():
    text = '{"driver": {"requests": {"cpu": 1, "memory": "96Mi"}}}'
    settings = load(Settings, REQUIRED | {"ALD_GATEWAY_RESOURCES": text})
    assert gateway_resources(settings).driver.requests == {"cpu": 1, "memory": "96Mi"}


@pytest.mark.parametrize("text", ["", "[]", '{"driver": {"cpu": "1"}}', '{"other": {}}'])
def test_resources_that_are_none_are_refused_by_the_name_of_the_variable(text):
    settings = msgspec.structs.replace(load(Settings, REQUIRED), gateway_resources=text)
    with pytest.raises(InvalidInputError, match="ALD_GATEWAY_RESOURCES"):
        gateway_resources(settings)
