import pytest

from ald.cli.kubectl import failure, inside
from ald.errors import NotFoundError, PeerError


def test_a_command_inside_a_pod_names_deployment_and_container():
    assert inside("a-gateway", ("ald", "stop"), namespace="lab", container="driver") == (
        *("--namespace", "lab", "exec", "deploy/a-gateway", "--container", "driver"),
        *("--", "ald", "stop"),
    )
    assert inside("a", ("x",), namespace="", container="c")[0] == "exec"


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (
            'Error from server (NotFound): deployments.apps "a-gateway" not found\n',
            NotFoundError,
            'looking: Error from server (NotFound): deployments.apps "a-gateway" not found',
        ),
        (
            "ald: no run named a is on record\ncommand terminated with exit code 1\n",
            PeerError,
            "no run named a is on record",
        ),
        (
            "error: unable to upgrade connection\n",
            PeerError,
            "looking: error: unable to upgrade connection",
        ),
        ("", PeerError, "looking: kubectl failed and did not say why"),
    ],
)
def test_a_failure_is_said_in_one_line(said, kind, text):
    error = failure(said, "looking")
    assert type(error) is kind
    assert str(error) == text
