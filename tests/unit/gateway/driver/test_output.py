"""A log that nobody reads holds nobody up."""

import fcntl
import os

from ald.gateway.driver.output import Impatient, output


def test_lines_arrive_as_written():
    near, far = os.pipe()
    with output(far) as stream:
        stream.write("première ligne\n")
        stream.flush()
        assert os.read(near, 100).decode() == "première ligne\n"
    os.close(near)
    os.close(far)


def test_a_full_pipe_drops_instead_of_blocking_and_counts():
    near, far = os.pipe()
    fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, 8192)
    raw = Impatient(far)
    assert raw.write(b"x" * 50_000) == 50_000
    assert raw.dropped_bytes >= 50_000 - 8192
    os.read(near, 8192)
    assert raw.write(b"after\n") == 6
    os.close(near)
    os.close(far)


def test_a_pipe_that_nobody_holds_any_more_ends_nothing():
    near, far = os.pipe()
    os.close(near)
    raw = Impatient(far)
    assert raw.write(b"line\n") == 5
    assert raw.dropped_bytes == 5
    os.close(far)
