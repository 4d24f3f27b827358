"""Measure all that matters of one GPU in eight minutes at most (docs/gpu.md): python benchmarks/gpu.

Each part's results are on the disk when it is done, so that a run that is cut has those before. A part that fails or
takes too long is noted, and the next one goes on.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from carried import BENCHMARKS, NotCarried, environment
from parts import parts
from running import Record, archive, run_all, write_whole
from summary import summary

LOOK = "import torch; raise SystemExit(not torch.cuda.is_available())"
SUMMARY = "gpu.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=480, help="seconds for everything")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts, by name")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder")
    parser.add_argument("--archive", type=Path, help="a .tar.gz of what was found, written anew after each part")
    parser.add_argument("--rehearse", action="store_true", help="tiny problems on the CPU, to see that all of it runs")
    options = parser.parse_args()
    if options.rehearse and options.results == BENCHMARKS / "results":
        parser.error("--rehearse needs --results: what it finds is no measurement")
    started = time.monotonic()
    chosen = [part for part in parts(options.rehearse) if not options.only or part.name in options.only]
    if unknown := set(options.only or ()) - {part.name for part in chosen}:
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as site:
        try:
            variables = environment(Path(site))
        except NotCarried as error:
            print(error, file=sys.stderr)
            return 2
        if not options.rehearse and subprocess.run([sys.executable, "-c", LOOK], env=variables).returncode:
            print("torch sees no GPU here; --rehearse runs all parts on the CPU", file=sys.stderr)
            return 2
        options.results.mkdir(parents=True, exist_ok=True)
        if options.rehearse:
            variables["OMP_NUM_THREADS"] = "1"
        variables["BENCHMARK_RESULTS"] = str(options.results.resolve())
        left = options.budget - (time.monotonic() - started)
        records: list[Record] = []
        for record in run_all(chosen, left, options.results, variables):
            records.append(record)
            keep(records, options.results, options.archive)
    return int(any(record.status in ("failed", "cut") for record in records))


def keep(records: list[Record], results: Path, packed: Path | None) -> None:
    """What is known so far, to be read, and packed."""
    write_whole(results / SUMMARY, summary(records, results))
    if packed:
        names = [name for record in records for name in (record.file, *record.results)]
        archive(results, [SUMMARY, *names], packed)


if __name__ == "__main__":
    sys.exit(main())
