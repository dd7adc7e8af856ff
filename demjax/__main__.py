"""``python -m demjax`` is ``demjax``."""

import sys

from demjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
