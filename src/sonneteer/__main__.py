"""`python -m sonneteer` is the command `sonneteer`."""

import sys

from sonneteer.cli import main

sys.exit(main())
