"""`python -m ald.gateway.driver` runs the driver; `--probe` tells the kubelet whether it still turns."""

import signal
import sys


def main(arguments: list[str]) -> int:
    """Return how the process should end."""
    if arguments == ["--probe"]:
        # The probe runs every few seconds: it loads next to nothing.
        from ald.gateway.driver import probe  # noqa: PLC0415 -- must not load the driver

        return probe.main()
    if arguments:
        sys.stderr.write("usage: python -m ald.gateway.driver [--probe]\n")
        return 2
    # The first process of a container never sees a signal without a handler; one that is held back waits for the supervisor.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    from ald.gateway.driver import app  # noqa: PLC0415 -- the probe must not load it

    return app.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
