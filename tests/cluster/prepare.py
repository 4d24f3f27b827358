"""Build the programs of the cluster where one can be started: `make kubernetes`."""

import sys

from .build import build_all
from .host import missing


def main() -> int:
    if reason := missing():
        print(f"no cluster can be started here: {reason}", file=sys.stderr)
        return 1
    build_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
