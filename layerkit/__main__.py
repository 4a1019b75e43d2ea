"""`python -m layerkit` is the `layerkit` command."""

import sys

from layerkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
