"""Entry point of `python -m ald.logger`."""

import sys

from ald.logger.app import main

sys.exit(main())
