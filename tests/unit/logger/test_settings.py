import pytest

from ald.errors import InvalidInputError
from ald.kit import config
from ald.logger.settings import SECRETS, Settings, database_settings, static_endpoints
from ald.store.database import Endpoint


def load(**environ):
    return config.load(Settings, {f"ALD_{k.upper()}": v for k, v in environ.items()})


def test_everything_has_a_default():
    settings = load()
    assert (settings.plain_port, settings.database_url, static_endpoints(settings)) == (
        8080,
        "",
        [],
    )


def test_gateways_are_named_one_by_one():
    settings = load(gateways="lab/a=https://h:1/, lab/b=https://h:2")
    assert static_endpoints(settings) == [
        Endpoint(namespace="lab", name="a", url="https://h:1"),
        Endpoint(namespace="lab", name="b", url="https://h:2"),
    ]


@pytest.mark.parametrize("entry", ["a=https://h", "lab/a=http://h", "lab/=https://h", "lab/a"])
def test_a_gateway_that_is_none_is_refused_by_name(entry):
    with pytest.raises(InvalidInputError, match="ALD_GATEWAYS"):
        static_endpoints(load(gateways=entry))


@pytest.mark.parametrize(
    ("name", "value"),
    [("database_pool_max", "0"), ("batch_interval_ms", "-1"), ("log_level", "loud")],
)
def test_what_is_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(InvalidInputError, match=f"ALD_{name.upper()}"):
        load(**{name: value})


def test_the_store_gets_what_it_needs():
    settings = load(
        database_url="postgresql://x",
        database_pool_max="7",
        database_statement_timeout_s="8",
        database_lock_timeout_s="9",
    )
    store = database_settings(settings)
    assert (store.url, store.pool_max) == ("postgresql://x", 7)
    assert (store.statement_timeout_s, store.lock_timeout_s) == (8, 9)


def test_the_address_of_the_database_is_a_secret():
    shown = config.effective(load(database_url="postgresql://u:hidden@h"), SECRETS)
    assert "hidden" not in str(shown)
