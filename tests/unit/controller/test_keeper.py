import base64
import datetime as dt

import msgspec
import pytest

from ald.controller import names
from ald.controller.apply import SECRET
from ald.controller.certificates import Leaf, due
from ald.controller.keeper import Keeper, write_files
from ald.controller.names import Key
from ald.controller.settings import Settings
from ald.errors import PeerError
from unit.controller import situations as s
from unit.controller.operators import StillClock

HOME = "ald-system"


class Case:
    def __init__(self, directory, cluster=None, clock=None):
        self.cluster = cluster or s.MemoryCluster()
        self.clock = clock or StillClock()
        self.directory = directory
        settings = Settings(
            operator_namespace=HOME,
            gateway_image="x",
            tls_dir=str(directory),
            certificate_lifetime="60s",
            authority_lifetime="1h",
        )
        self.keeper = Keeper(self.cluster, settings, self.clock)

    def data(self, name):
        document = self.cluster.read("Secret", name, HOME)
        return {key: base64.b64decode(value) for key, value in document["data"].items()}

    def now(self):
        return dt.datetime.fromtimestamp(self.clock.wall_ns() / 1e9, dt.UTC)


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path / "tls")


async def test_the_first_refresh_makes_the_authority_and_all_clients(case):
    assert await case.keeper.refresh()
    assert set(case.data(names.AUTHORITY_SECRET)) == {"ca.crt", "ca.key", "bundle.crt"}
    for name in (names.OPERATOR_SECRET, names.LOGGER_SECRET, names.STOP_SECRET):
        assert set(case.data(name)) == {"tls.crt", "tls.key", "ca.crt"}
        assert case.data(name)["ca.crt"] == case.data(names.AUTHORITY_SECRET)["bundle.crt"]
    assert (case.directory / "tls.crt").read_bytes() == case.data(names.OPERATOR_SECRET)["tls.crt"]
    assert case.keeper.client_context("ald://ald/gateway/a/b")


async def test_a_second_refresh_writes_nothing(case):
    await case.keeper.refresh()
    writes = len(case.cluster.writes)
    assert not await case.keeper.refresh()
    assert len(case.cluster.writes) == writes


async def test_a_restarted_keeper_goes_on_with_what_is_there(case, tmp_path):
    await case.keeper.refresh()
    before = case.data(names.OPERATOR_SECRET)
    other = Case(tmp_path / "other", case.cluster, case.clock)
    await other.keeper.refresh()
    assert case.data(names.OPERATOR_SECRET) == before


async def test_of_two_that_make_the_authority_at_once_one_wins_and_both_use_it(case):

    async def be_faster():
        await Case(case.directory / "rival", case.cluster, case.clock).keeper.refresh()

    case.cluster.after["before create"] = be_faster
    await case.keeper.refresh()
    assert case.data(names.OPERATOR_SECRET)["ca.crt"] == case.data("ald-ca")["bundle.crt"]


async def test_leaves_are_renewed_at_two_thirds_of_their_life_and_trust_goes_on(case):
    await case.keeper.refresh()
    first = case.data(names.LOGGER_SECRET)
    case.clock.pass_s(39)
    await case.keeper.refresh()
    assert case.data(names.LOGGER_SECRET) == first
    case.clock.pass_s(2)
    await case.keeper.refresh()
    second = case.data(names.LOGGER_SECRET)
    assert second["tls.crt"] != first["tls.crt"]
    assert second["ca.crt"] == first["ca.crt"]
    assert not due(case.now(), second["tls.crt"])
    assert (case.directory / "tls.crt").read_bytes() == case.data(names.OPERATOR_SECRET)["tls.crt"]


async def test_a_rotated_authority_is_told_so_that_every_secret_gets_the_new_bundle(case):
    await case.keeper.refresh()
    case.clock.pass_s(2400)
    assert await case.keeper.refresh()
    assert {"next.crt", "next.key"} <= set(case.data("ald-ca"))
    assert case.data(names.LOGGER_SECRET)["ca.crt"] == case.data("ald-ca")["bundle.crt"]


@pytest.mark.parametrize("spoil", [{}, {"tls.crt": "!"}, {"tls.crt": "AAAA"}])
async def test_a_spoiled_secret_is_made_anew(case, spoil):
    await case.keeper.refresh()
    document = case.cluster.read("Secret", names.LOGGER_SECRET, HOME)
    case.cluster.hold(s.edited(document, "data", spoil))
    await case.keeper.refresh()
    assert set(case.data(names.LOGGER_SECRET)) == {"tls.crt", "tls.key", "ca.crt"}


@pytest.mark.parametrize("field", ["ca.crt", "ca.key", "previous.crt"])
async def test_an_authority_that_cannot_be_read_is_named_with_what_to_do(case, field):
    await case.keeper.refresh()
    document = case.cluster.read("Secret", names.AUTHORITY_SECRET, HOME)
    spoiled = {**document["data"], field: "AAAA"}
    case.cluster.hold(s.edited(document, "data", spoiled))
    with pytest.raises(PeerError, match="Secret ald-ca holds no authority"):
        await case.keeper.refresh()
    del case.cluster.objects["Secret", Key(HOME, names.AUTHORITY_SECRET)]
    assert await case.keeper.refresh()


async def test_nothing_is_handed_out_before_there_is_an_authority(case):
    with pytest.raises(PeerError, match="authority"):
        await case.keeper.ensure(Key("a", "b"), "ald://x", lambda leaf: {})
    with pytest.raises(PeerError, match="certificate"):
        case.keeper.client_context("ald://ald/gateway/a/b")


async def test_an_api_server_that_is_away_is_told(case):
    case.cluster.away = True
    with pytest.raises(PeerError):
        await case.keeper.refresh()


async def test_ensure_writes_what_build_makes_of_the_leaf(case):
    await case.keeper.refresh()
    key = Key("plant-1", "demo-gateway-tls")

    def build(leaf):
        meta = {"name": key.name, "namespace": key.namespace}
        encoded = {
            "tls.crt": base64.b64encode(leaf.certificate).decode(),
            "tls.key": base64.b64encode(leaf.key).decode(),
            "ca.crt": base64.b64encode(leaf.bundle).decode(),
        }
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded}

    leaf = await case.keeper.ensure(key, "ald://ald/gateway/plant-1/demo", build)
    again = await case.keeper.ensure(key, "ald://ald/gateway/plant-1/demo", build)
    assert leaf == again
    assert (await case.cluster.get(SECRET, key))["data"] == build(leaf)["data"]


def test_checks_come_often_enough_for_short_lives(case):
    assert case.keeper.check_interval_s == pytest.approx(3)


def test_files_are_private_and_only_changed_ones_are_written(tmp_path):
    leaf = Leaf(certificate=b"c", key=b"k", bundle=b"b")
    write_files(tmp_path, leaf)
    assert (tmp_path / "tls.key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "ca.crt").stat().st_ino
    write_files(tmp_path, msgspec.structs.replace(leaf, certificate=b"c2"))
    assert (tmp_path / "tls.crt").read_bytes() == b"c2"
    assert (tmp_path / "ca.crt").stat().st_ino == before
