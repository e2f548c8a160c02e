import pytest

from ald.controller.children import is_rolled_out


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
