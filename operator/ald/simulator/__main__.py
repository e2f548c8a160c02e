"""Entry point of `python -m ald.simulator`."""

import sys

from ald.simulator.app import main

sys.exit(main(sys.argv[1:]))
