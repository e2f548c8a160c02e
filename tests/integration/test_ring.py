"""Writer and reader as processes that are killed again and again, at whatever instruction they happen to be."""

import contextlib
import random
import subprocess
import sys

import pytest

from ald.gateway.ring import RingReader, RingWriter

pytestmark = pytest.mark.integration

CAPACITY = 1 << 16
LIVES = 25

# Appends numbered payloads as fast as it can; says after each record that it is in the ring.
WRITER = """
import os, sys
from pathlib import Path
from ald.errors import RingFullError
from ald.gateway.ring import RingWriter
parent = os.getppid()
writer = RingWriter(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
print("up", flush=True)
number = 0
while os.getppid() == parent:
    number += 1
    try:
        sequence = writer.append(1, b"%d " % number * (number % 97))
    except RingFullError:
        number -= 1
        continue
    sys.stdout.buffer.write(b"%d\\n" % sequence)
    sys.stdout.buffer.flush()
"""

# Copies records to a file, one line each, and only then acknowledges: what a journal does.
READER = """
import os, sys
from pathlib import Path
from ald.gateway.ring import RingReader
parent = os.getppid()
reader = RingReader(Path(sys.argv[1]))
journal = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
print("up", flush=True)
while os.getppid() == parent:
    for record in reader.read(50):
        line = f"{record.sequence} {record.session} {len(record.payload)}\\n"
        os.write(journal, line.encode())
        reader.acknowledge(record.sequence)
"""


def start(script, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def kill(process):
    """SIGKILL it and return the last whole line that it said."""
    process.kill()
    said = process.stdout.read()
    process.stdout.close()
    process.wait(10)
    lines = said.split(b"\n")[:-1]
    return int(lines[-1]) if lines else 0


@pytest.mark.requirement("INT-04")
def test_killed_writers_and_readers_lose_and_double_nothing(tmp_path):
    path, journal = tmp_path / "ring", tmp_path / "journal"
    RingWriter(path, CAPACITY, "first").close()
    seed = random.Random(3)
    announced = 0
    for life in range(LIVES):
        writer = start(WRITER, path, CAPACITY, f"session-{life}")
        reader = start(READER, path, journal)
        # It speaks after each record: reading so many lines lets it run for a while, without a clock.
        for _ in range(seed.randrange(1, 300)):
            announced = max(announced, int(writer.stdout.readline()))
        victims = [writer, reader]
        seed.shuffle(victims)
        for victim in victims:
            last = kill(victim)
            announced = max(announced, last) if victim is writer else announced

    copied = [line.split() for line in journal.read_text().splitlines()]
    with contextlib.closing(RingReader(path)) as rest:
        while records := rest.read(1000):
            copied += [[str(r.sequence), r.session, str(len(r.payload))] for r in records]
    sequences = [int(sequence) for sequence, _, _ in copied]
    # A reader killed between copying and acknowledging copies one record twice; nothing else may repeat.
    assert sequences == sorted(sequences)
    assert len(sequences) - len(set(sequences)) <= LIVES
    assert set(sequences) == set(range(1, max(sequences) + 1))
    assert max(sequences) >= announced > LIVES
    assert len({session for _, session, _ in copied}) == LIVES
