"""Entry point."""

import sys

from ald.kit.ending import end_when_told


def main() -> int:
    """Return how the process should end."""
    end_when_told()
    from ald.gateway.front import app  # noqa: PLC0415 -- takes a second, in which it can be told to end

    return app.main()


if __name__ == "__main__":
    sys.exit(main())
