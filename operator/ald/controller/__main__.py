"""`python -m ald.controller`: the operator."""

import asyncio
import sys

from ald.controller.app import run
from ald.controller.settings import Settings
from ald.errors import AldError
from ald.kit.config import load
from ald.kit.log import configure, get_logger


def main() -> int:
    """Run the operator; 0 after a signal, 2 when it cannot start as it is set, 1 after a fault of ours."""
    try:
        settings = load(Settings)
        configure(settings.log_level, process="operator")
        asyncio.run(run(settings))
    except AldError as error:
        configure()
        get_logger().error("cannot_run", error=str(error))
        return 2
    except Exception:  # noqa: BLE001 -- the outermost frame of the process
        get_logger().exception("operator_crashed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
