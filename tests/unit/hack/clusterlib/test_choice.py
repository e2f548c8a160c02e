"""Stock where an engine answers and the image can be had; built where not, or where asked for."""

import pytest

from clusterlib import choice, engine
from clusterlib.choice import Way, choose
from clusterlib.shell import ClusterError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def make(*, engine_answers: bool, image: bool, ours: bool = False, wish: str = "auto") -> None:
        monkeypatch.setenv("ALD_CLUSTER", wish)
        monkeypatch.setattr(engine, "answers", lambda: engine_answers)
        monkeypatch.setattr(engine, "is_ours", lambda: ours)
        monkeypatch.setattr(choice, "published_image", lambda: "node:1")
        monkeypatch.setattr(choice, "can_be_had", lambda name: image and name == "node:1")

    return make


def test_stock_where_engine_and_image_are_there(machine):
    machine(engine_answers=True, image=True)
    assert choose() is Way.STOCK


def test_built_where_the_image_cannot_be_had(machine):
    machine(engine_answers=True, image=False)
    assert choose() is Way.BUILT


def test_built_where_there_is_no_engine(machine):
    machine(engine_answers=False, image=True)
    assert choose() is Way.BUILT


def test_built_stays_built_while_our_engine_runs(machine):
    machine(engine_answers=True, image=True, ours=True)
    assert choose() is Way.BUILT


def test_stock_by_wish_needs_an_engine(machine):
    machine(engine_answers=False, image=True, wish="stock")
    with pytest.raises(ClusterError, match="ALD_CLUSTER=stock needs a container engine"):
        choose()


def test_an_unknown_wish_is_refused_with_what_is_allowed(machine):
    machine(engine_answers=True, image=True, wish="cloud")
    with pytest.raises(ClusterError, match="ALD_CLUSTER=cloud: not one of auto, stock, built"):
        choose()
