"""Fit a line to points by gradient descent: a program that LocAt knows nothing of but what line.yaml says."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

JOB = Path(os.environ.get("LOCAT_JOB_DIR", "."))
"""Where the job keeps what it writes, the same in every attempt; by hand the current folder."""
POINTS = [(x / 10, 3 * x / 10 + 1) for x in range(10)]


class StopRequest:
    """Remembers that SIGTERM came, for the loop to act on between two steps."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, *_: object) -> None:
        self.received = True


def write(file: Path, values: dict[str, Any]) -> None:
    """Replace a file as a whole: whoever reads it sees the old content or the new, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.partial")
    unfinished.write_text(json.dumps(values))
    unfinished.replace(file)


def newest_checkpoint() -> dict[str, Any]:
    """What an earlier attempt saved last; the beginning if none did."""
    saved = sorted((JOB / "checkpoints").glob("step-*.json"))
    return json.loads(saved[-1].read_text()) if saved else {"step": 0, "slope": 0.0, "offset": 0.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, required=True, help="learning rate")
    parser.add_argument("--model", type=Path, required=True, help="file to be written")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two steps")
    given = parser.parse_args()

    stop = StopRequest()
    state = newest_checkpoint()
    print(f"begins at step {state['step']}")
    while state["step"] < given.steps:
        if stop.received:
            write(JOB / "checkpoints" / f"step-{state['step']:06}.json", state)
            return 75
        errors = [state["slope"] * x + state["offset"] - y for x, y in POINTS]
        slope = sum(error * x for error, (x, _) in zip(errors, POINTS, strict=True)) / len(POINTS)
        state["slope"] -= given.rate * slope
        state["offset"] -= given.rate * sum(errors) / len(POINTS)
        state["step"] += 1
        now = {"phase": "fit", "done": state["step"], "total": given.steps, "unit": "step", "updated": time.time()}
        write(JOB / "progress.json", now)
        time.sleep(given.pause)

    near = [abs(state["slope"] * x + state["offset"] - y) < 0.1 for x, y in POINTS]
    write(given.model, state)
    write(given.model.with_name("numbers.json"), {"near": 100 * sum(near) / len(POINTS)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
