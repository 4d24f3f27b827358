"""Ends a step that takes too long: all stacks of all ranks in their logs, and the rank that holds the others up named.

When one rank hangs the others wait for it in a collective, so every rank's watchdog strikes at about the same time.
Each then leaves in the attempt's folder how far it was, and the one that is furthest behind is the one to look at.
The thread needs Python's interpreter lock; where the step holds that for good, faulthandler's own timer ends the
process without it.
"""

import contextlib
import faulthandler
import json
import logging
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from locat.contract import durable
from locat.contract.outcome import attempt_folder, write_outcome
from locat.engine.distributed import Ranks

logger = logging.getLogger(__name__)

STAGES = ("waits for its data", "computes", "waits for the other ranks")
"""Of a step, in order."""
PATIENCE = 5.0
"""Seconds for the other ranks' watchdogs to strike as well."""


@dataclass(frozen=True)
class Whereabouts:
    """How far a rank was."""

    step: int
    stage: int
    """Index into STAGES."""


class Watchdog:
    """Watches the steps of this rank, each of which may take `limit` seconds; only between `enter` and `rest`."""

    def __init__(self, limit: float, ranks: Ranks) -> None:
        self.limit, self.ranks = limit, ranks
        self._at: tuple[Whereabouts, float] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def enter(self, step: int, stage: str) -> None:
        """Say where this rank is; a step's time begins with its first stage."""
        now = Whereabouts(step, STAGES.index(stage))
        began = self._at[1] if self._at is not None and self._at[0].step == step else time.monotonic()
        self._at = now, began

    def rest(self) -> None:
        """What follows is no step and may take its time."""
        self._at = None

    def _watch(self) -> None:
        while not self._ended.wait(min(self.limit / 10, 1.0)):
            faulthandler.dump_traceback_later(self.limit, exit=True)
            at = self._at
            if at is not None and time.monotonic() - at[1] > self.limit:
                self._strike(at[0])
        faulthandler.cancel_dump_traceback_later()

    def _strike(self, at: Whereabouts) -> None:
        logger.error("step %d took more than %g s; this rank %s:", at.step, self.limit, STAGES[at.stage])
        faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        attempt, asked, told = attempt_folder(), [self.ranks.rank], {self.ranks.rank: at}
        if attempt is not None:
            with contextlib.suppress(OSError):  # a full disk
                durable.write_json(attempt / f"hang-{self.ranks.rank}.json", asdict(at))
            time.sleep(PATIENCE)
            asked = list(range(self.ranks.world_size))
            told |= read_whereabouts(attempt, asked)
        reason = f"step {at.step} took more than {self.limit:g} s: {describe(told, asked)}"
        logger.error("%s", reason)
        write_outcome(1, reason)
        os._exit(1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


def read_whereabouts(attempt: Path, ranks: list[int]) -> dict[int, Whereabouts]:
    """What the ranks have left in the attempt's folder."""
    files = {rank: attempt / f"hang-{rank}.json" for rank in ranks}
    return {rank: Whereabouts(**json.loads(file.read_text())) for rank, file in files.items() if file.exists()}


def describe(told: dict[int, Whereabouts], asked: list[int]) -> str:
    """Which of the ranks `asked` hold the others up, in words: those that say nothing, or those furthest behind."""
    silent = [rank for rank in asked if rank not in told]
    if silent:
        return f"{_ranks(silent)} cannot say where (stopped, held up in C code, between steps, or its machine is gone)"
    last = min((at.step, at.stage) for at in told.values())
    behind = [rank for rank, at in sorted(told.items()) if (at.step, at.stage) == last]
    return f"{_ranks(behind)} {STAGES[last[1]]} (every rank's log has its stacks)"


def _ranks(ranks: list[int]) -> str:
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))
