"""Entry point."""

import signal
import sys


def main() -> int:
    """Return how the process should end."""
    # The first process of a container never sees a signal without a handler, and the loop has its own only a second from now.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    from ald.gateway.front import app  # noqa: PLC0415 -- takes that second

    return app.main()


if __name__ == "__main__":
    sys.exit(main())
