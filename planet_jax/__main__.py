"""`python -m planet_jax`, the same as `planet-jax`."""

import sys

from planet_jax.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
