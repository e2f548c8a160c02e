"""Entry point."""

import sys

from ald.gateway.front.app import main

sys.exit(main())
