import pytest

from ald.controller.apply import CONFLICT, REFUSED, RUN, SECRET, _refusal, key_of, kind_of
from ald.controller.names import Key
from ald.errors import NotFoundError, PeerError, RefusedError


def test_paths_are_those_of_the_api_server():
    key = Key("plant-1", "one")
    assert RUN.path(key, subresource="status") == (
        "/apis/ald.dev/v1alpha1/namespaces/plant-1/reciperuns/one/status"
    )
    assert SECRET.path(key) == "/api/v1/namespaces/plant-1/secrets/one"
    assert SECRET.path(namespace="plant-1") == "/api/v1/namespaces/plant-1/secrets"


def test_a_document_tells_its_kind_and_key():
    meta = {"namespace": "plant-1", "name": "one"}
    document = {"apiVersion": "ald.dev/v1alpha1", "kind": "RecipeRun", "metadata": meta}
    assert kind_of(document) is RUN
    assert key_of(document) == Key("plant-1", "one")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFoundError),
        (403, PeerError),
        (401, PeerError),
        (429, PeerError),
        (500, PeerError),
        (503, PeerError),
        (409, RefusedError),
        (422, RefusedError),
        (400, RefusedError),
    ],
)
def test_every_answer_means_either_try_again_or_not(status, kind):
    error = _refusal(status, b'{"message": "what it said"}', "PATCH /x")
    assert type(error) is kind
    assert "what it said" in str(error)
    if isinstance(error, RefusedError):
        assert error.reason == (CONFLICT if status == 409 else REFUSED)


def test_an_answer_that_is_no_json_is_shown_shortened():
    assert len(str(_refusal(502, b"<html>" + b"x" * 5000, "GET /y"))) <= 500
