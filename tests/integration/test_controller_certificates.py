"""Certificates that live for seconds: renewed and rotated under a connection that must not notice."""

import base64
import json
import threading
from collections.abc import Iterator

import pytest
from cryptography import x509

from ald.kit.tls import Credentials
from fixtures.controller import Operator, run_operator
from fixtures.resources import example
from fixtures.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEAF_S, AUTHORITY_S = 9, 36


@pytest.fixture
def short_lived(resources, tmp_path) -> Iterator[Operator]:
    settings = {
        "ALD_CERTIFICATE_LIFETIME": f"{LEAF_S}s",
        "ALD_AUTHORITY_LIFETIME": f"{AUTHORITY_S}s",
    }
    with run_operator(resources, tmp_path, settings) as operator:
        yield operator


def certificates(operator: Operator, secret: str, name: str) -> list[x509.Certificate]:
    code, said = operator.resources.kubectl("get", "secret", secret, "-o", "json")
    assert code == 0, said
    data = json.loads(said)["data"].get(name, "")
    return x509.load_pem_x509_certificates(base64.b64decode(data)) if data else []


def test_leaves_and_authority_are_renewed_while_the_gateway_stays_reachable(short_lived):
    operator = short_lived
    operator.resources.create(example("machines/demo-reactor.yaml"))
    operator.serve_gateway()
    operator.wait_for("machine", "demo-reactor", "Ready", "Ready")
    # Each request on a connection of its own, so that each proves the certificates of its moment.
    operator.gateway.hangs_up = True
    directory = operator.directory / "gateway"
    over = threading.Event()

    def mount() -> None:
        # What the kubelet and the gateway do: the files follow the Secret, connections the files.
        while not over.wait(0.3):
            operator.write_gateway_certificate(directory)
            credentials.refresh()
            operator.gateway.change(reason="Anything")

    credentials = operator.credentials
    assert isinstance(credentials, Credentials)
    mounting = threading.Thread(target=mount)
    mounting.start()
    try:
        first = certificates(operator, "ald-ca", "ca.crt")[0]
        eventually(lambda: len(operator.gateway.serials) >= 4, within_s=60)
        eventually(lambda: certificates(operator, "ald-ca", "ca.crt")[0] != first, within_s=60)
        bundle = certificates(operator, "ald-logger-tls", "ca.crt")
        assert first in bundle
        seen = len(operator.gateway.serials)
        eventually(lambda: len(operator.gateway.serials) > seen + 1, within_s=60)
    finally:
        over.set()
        mounting.join()
    assert operator.condition("machine", "demo-reactor", "Ready")["status"] == "True"
    events = json.loads(operator.resources.kubectl("get", "events", "-o", "json")[1])["items"]
    assert not [e for e in events if e["reason"] in ("GatewayUnreachable", "IdentityRefused")]
    assert operator.page("/livez")[0] == 200
