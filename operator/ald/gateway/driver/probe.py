"""The kubelet's question whether the driver still turns."""

import os
import time
from pathlib import Path

from ald.gateway.driver import alive


def main() -> int:
    """Return 0 when the driver has turned within the last seconds, 1 otherwise."""
    # Neither settings nor clock come from kit here: with msgspec they take longer to load than the probe to run.
    run_dir = os.environ.get("ALD_RUN_DIR", "/run/ald")  # noqa: TID251 -- see above
    now_ns = time.monotonic_ns()  # noqa: TID251 -- see above
    return 0 if alive.is_turning(Path(run_dir, "driver.alive"), now_ns) else 1
