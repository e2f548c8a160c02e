import pytest

from ald.controller.quantity import bytes_of
from ald.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512Mi", 512 << 20),
        ("1.5Gi", 3 << 29),
        (".5Ki", 512),
        ("5G", 5_000_000_000),
        ("2k", 2000),
        ("1E", 10**18),
        ("1Ei", 1 << 60),
        ("1e9", 10**9),
        ("25E-1", 2),
        ("1500m", 1),
    ],
)
def test_quantities_of_kubernetes_are_bytes(text, amount):
    assert bytes_of(text, "there") == amount


@pytest.mark.parametrize("text", ["", "5 Gi", "5GB", "-1Gi", "Gi", "5gi", "1e999"])
def test_what_is_no_quantity_is_refused_with_its_place(text):
    with pytest.raises(InvalidInputError, match="there"):
        bytes_of(text, "there")
