"""`python -m layerkit` is the `layerkit` command."""

import sys

from layerkit.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
