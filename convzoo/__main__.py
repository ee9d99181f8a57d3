"""``python -m convzoo`` is the command ``convzoo``."""

import sys

from convzoo.cli import command

if __name__ == "__main__":
    sys.exit(command())
