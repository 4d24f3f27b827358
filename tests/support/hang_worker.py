"""Two ranks of which one hangs in its second step; run under torchrun as `-m support.hang_worker LIMIT HOW`.

HOW is `sleep` (it could still be asked) or `lock` (it never gives Python's interpreter lock back).
"""

import ctypes
import os
import sys
import time
from pathlib import Path

from locat.__main__ import log_to
from locat.contract.outcome import attempt_folder
from locat.engine.distributed import join_ranks
from locat.engine.guards import watchdog
from locat.engine.guards.watchdog import Watchdog
from locat.engine.signals import StopRequest


def hang(how: str) -> None:
    if how == "sleep":
        time.sleep(600)
    while True:
        ctypes.PyDLL(None).sleep(600)  # torchrun's SIGTERM, when the other rank has ended itself, interrupts it


def main() -> None:
    watchdog.PATIENCE = 1.0
    attempt = attempt_folder()
    assert isinstance(attempt, Path)
    log_to(attempt / f"rank-{os.environ['RANK']}.log")
    StopRequest()  # torchrun's SIGTERM, when the other rank has ended itself, must not come before the stacks
    with join_ranks() as ranks, Watchdog(float(sys.argv[1]), ranks) as watched:
        for step in range(2):
            watched.enter(step, "computes")
            if step and ranks.rank == 1:
                hang(sys.argv[2])
            watched.enter(step, "waits for the other ranks")
            ranks.barrier()
        watched.rest()


if __name__ == "__main__":
    main()
