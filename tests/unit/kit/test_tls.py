"""Handshakes in memory: no socket, no thread, every refusal counted."""

import ssl

import pytest

from ald.kit import tls
from ald.kit.tls import Credentials, CredentialsError
from fixtures.certificates import Authority

GATEWAY = tls.gateway_uri("lab", "default", "reactor-1")
OPERATOR = tls.client_uri("lab", "operator")


@pytest.fixture
def authority():
    return Authority()


class Side:
    """One end: credentials, and what it refused."""

    def __init__(self, directory):
        self.refused: list[str] = []
        self.credentials = Credentials(directory, self.refused.append)


@pytest.fixture
def gateway(tmp_path, authority):
    return Side(authority.issue(tmp_path / "gateway", GATEWAY))


@pytest.fixture
def operator(tmp_path, authority):
    return Side(authority.issue(tmp_path / "operator", OPERATOR))


def handshake(server, client, expected=GATEWAY):
    """Carry bytes to and fro until both are content; return the server's view of its peer."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.credentials.client_context(expected).wrap_bio(to_client, to_server)
        if isinstance(client, Side)
        else client.wrap_bio(to_client, to_server),
    ]
    for _ in range(10):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0]


def test_both_sides_see_the_names_they_expect(gateway, operator):
    seen = handshake(gateway.credentials.server_context(), operator)
    assert seen.version() == "TLSv1.3"
    assert tls.peer_role(seen, "lab") == "operator"
    assert gateway.refused == operator.refused == []


@pytest.mark.requirement("SEC-01")
@pytest.mark.parametrize(
    ("uris", "role"),
    [
        ([tls.client_uri("lab", "logger")], "logger"),
        ([tls.client_uri("lab", "monitor")], "monitor"),
        ([tls.client_uri("other", "operator")], None),
        ([GATEWAY], None),
        (["ald://lab/root"], None),
        (["ald://lab/operator/"], None),
        ([OPERATOR, tls.client_uri("lab", "logger")], None),
        ([], None),
    ],
)
def test_a_role_is_the_one_that_the_certificate_names(tmp_path, authority, gateway, uris, role):
    client = Side(authority.issue(tmp_path / "client", *uris))
    seen = handshake(gateway.credentials.server_context(), client)
    assert tls.peer_role(seen, "lab") == role


@pytest.mark.requirement("SEC-01")
def test_a_client_of_another_authority_is_refused_and_counted(tmp_path, gateway):
    stranger = Side(Authority().issue(tmp_path / "stranger", OPERATOR))
    # It would take any server: the refusal is the gateway's.
    stranger_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger_context.check_hostname = False
    stranger_context.verify_mode = ssl.CERT_NONE
    stranger_context.load_cert_chain(
        tmp_path / "stranger" / "tls.crt", tmp_path / "stranger" / "tls.key"
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(gateway.credentials.server_context(), stranger_context)
    assert len(gateway.refused) == 1
    assert stranger.refused == []


@pytest.mark.requirement("SEC-01")
def test_a_client_without_a_certificate_is_refused_and_counted(gateway):
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        handshake(gateway.credentials.server_context(), bare)
    assert len(gateway.refused) == 1


@pytest.mark.requirement("SEC-01")
def test_an_expired_client_is_refused_and_counted(tmp_path, authority, gateway):
    late = Side(authority.issue(tmp_path / "late", OPERATOR, lifetime_s=-1))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(gateway.credentials.server_context(), late)
    assert len(gateway.refused) == 1


@pytest.mark.requirement("SEC-01")
def test_a_client_breaks_off_when_another_gateway_answers(gateway, operator):
    other = tls.gateway_uri("lab", "default", "reactor-2")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"expected .*reactor-2.* found .*-1"):
        handshake(gateway.credentials.server_context(), operator, expected=other)
    assert len(operator.refused) == 1


@pytest.mark.requirement("SEC-01")
def test_renewed_and_rotated_files_serve_without_a_restart(tmp_path, authority, gateway, operator):
    server = gateway.credentials.server_context()
    assert not gateway.credentials.refresh()
    following = Authority()
    following.issue(tmp_path / "operator", OPERATOR)
    following.issue(tmp_path / "gateway", GATEWAY)
    with pytest.raises(CredentialsError):
        Credentials(tmp_path / "nowhere", print)
    # Until a side has looked at its files, it goes on with what it has.
    handshake(server, operator)
    assert operator.credentials.refresh()
    assert gateway.credentials.refresh()
    handshake(server, operator)
    left_behind = Side(authority.issue(tmp_path / "old", OPERATOR))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, left_behind)


@pytest.mark.parametrize(
    ("name", "content"), [("tls.crt", None), ("tls.key", b"no key"), ("ca.crt", b"")]
)
def test_files_that_do_not_work_leave_the_old_ones_in_use(
    tmp_path, gateway, operator, name, content
):
    path = tmp_path / "gateway" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(CredentialsError):
        gateway.credentials.refresh()
    handshake(gateway.credentials.server_context(), operator)


def test_a_context_in_a_message_reads_as_whom_it_expects(gateway):
    assert repr(gateway.credentials.client_context(GATEWAY)) == GATEWAY
    assert repr(gateway.credentials.server_context()) == "mutual"
