"""Being told to end before there is a loop that could hear it."""

import signal
import sys


def end_when_told() -> None:
    """End with 0 on SIGTERM and SIGINT, until a loop takes them over.

    The first process of a container never sees a signal that it has no handler for (pid_namespaces(7)), and what a
    process loads takes it a second: call this before.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
