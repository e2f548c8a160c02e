"""One write on its way to the volume at most, and nobody waits for it longer than he says."""

import threading

import pytest

from ald.gateway.driver.volume_writer import VolumeWriter


@pytest.fixture
def writer():
    made = VolumeWriter("test")
    yield made
    made.close()


def test_what_was_sent_comes_or_fails(writer):
    done: list[int] = []
    assert writer.is_free()
    assert not writer.has_failed
    writer.send(done.append, 1)
    writer.taken(10)
    assert (done, writer.is_free(), writer.has_failed) == ([1], True, False)

    def full() -> None:
        raise OSError(28, "No space left on device")

    writer.send(full)
    with pytest.raises(OSError, match="No space left"):
        writer.taken(10)
    assert (writer.is_free(), writer.has_failed) == (True, True)
    writer.send(done.append, 2)
    writer.taken(10)
    assert (done, writer.has_failed) == ([1, 2], False)


def test_a_volume_that_hangs_is_waited_for_as_long_as_somebody_wants(writer):
    goes_on = threading.Event()

    def slow() -> None:
        assert goes_on.wait(20)

    writer.send(slow)
    assert not writer.is_free()
    with pytest.raises(OSError, match=r"not answered for 0\.01 s"):
        writer.taken(0.01)
    assert not writer.has_failed
    with pytest.raises(AssertionError, match="on its way"):
        writer.send(slow)
    goes_on.set()
    assert writer.is_free(within_s=10)
    assert not writer.has_failed
