import pytest

from ald.controller.apply import VOLUME_CLAIM, Document, kind_of
from ald.controller.children import Children, is_rolled_out
from ald.errors import PeerError, RefusedError
from unit.controller import situations as s
from unit.controller.operators import MACHINE_KEY, Bench

CHILD = "demo-reactor-gateway"


@pytest.fixture
async def bench(monkeypatch):
    found = Bench(s.MACHINE)
    # Its own certificate is for connections, which are played here.
    monkeypatch.setattr(found.keeper, "_take", lambda leaf: None)
    await found.keeper.refresh()
    return found


async def test_a_machine_made_again_does_not_take_over_the_volume_of_the_one_before(bench):
    await Children(MACHINE_KEY, bench.parts).reconcile(s.MACHINE, is_busy=False)
    again = s.edited(s.MACHINE, "metadata.uid", "another")
    children = Children(MACHINE_KEY, bench.parts)
    with pytest.raises(PeerError, match="the volume of the Machine that had this name before"):
        await children.reconcile(again, is_busy=False)
    claim = bench.read("PersistentVolumeClaim", CHILD)
    assert claim["metadata"]["ownerReferences"][0]["uid"] == s.MACHINE["metadata"]["uid"]
    del bench.cluster.objects["PersistentVolumeClaim", (s.SPACE, CHILD)]
    await children.reconcile(again, is_busy=False)
    claim = bench.read("PersistentVolumeClaim", CHILD)
    assert claim["metadata"]["ownerReferences"][0]["uid"] == "another"
    assert bench.read("Deployment", CHILD)["metadata"]["ownerReferences"][0]["uid"] == "another"


@pytest.mark.parametrize("error", [RefusedError("Refused", "is immutable"), PeerError("forbidden")])
async def test_a_volume_that_cannot_be_changed_keeps_no_new_version_from_coming(
    bench, monkeypatch, error
):
    apply = bench.cluster.apply

    async def refuse(document: Document, **how) -> Document:
        if kind_of(document) == VOLUME_CLAIM and "PersistentVolumeClaim" in kinds():
            raise error
        stored: Document = await apply(document, **how)
        return stored

    def kinds():
        return {kind for kind, _ in bench.cluster.objects}

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    children = Children(MACHINE_KEY, bench.parts)
    await children.reconcile(s.MACHINE, is_busy=False)
    children.suspect()
    before = len(bench.cluster.writes)
    await children.reconcile(s.MACHINE, is_busy=False)
    written = [kind for _, kind, _ in bench.cluster.writes[before:]]
    assert "Deployment" in written


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({}, True),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, True),
        ({"observedGeneration": 2}, True),
        ({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}, False),
    ],
)
def test_a_deployment_is_rolled_out_when_no_pod_of_an_older_template_is_left(status, done):
    assert is_rolled_out({"metadata": {"generation": 2}, "status": status}) is done
