"""``python -m convzoo`` is the command ``convzoo``."""

import sys

from convzoo.cli import main

if __name__ == "__main__":
    sys.exit(main())
