"""`python -m chaos --trials N --seed S`: N trials, a line each, and how many ended differently."""

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

from chaos.trials import trials


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; each has the next one")
    parser.add_argument("--launched", type=int, default=10, help="every so manieth trial kills a whole run's processes")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for trial in islice(trials(Path(folder), arguments.seed, arguments.launched), arguments.trials):
            failed += bool(trial.problems)
            print(trial, flush=True)
    print(f"{arguments.trials} trials from seed {arguments.seed} on, {failed} ended otherwise than left alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
