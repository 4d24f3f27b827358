"""Checkpoints: saved beside training, complete and digested or not there, verified before they are used.

Training stands still while the state is copied to host memory. A thread writes the copy to a fresh folder, where every
file is fsynced and digested, and renames it (manifest.py). What cannot be written, as on a full disk, costs a warning:
the checkpoints before it stay, and training goes on. Nothing is ever overwritten.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from locat.config.training import Checkpoints as Settings
from locat.contract import durable
from locat.contract.checkpoint_folder import MANIFEST, UNREADABLE, at_step, best_in, checkpoints_in, complete
from locat.contract.errors import ConfigError, Superseded
from locat.contract.fence import UNFINISHED, Fence
from locat.data.position import START, Position
from locat.engine.checkpoints.manifest import (
    TASK_STATE,
    Manifest,
    delete,
    discard,
    find_fault,
    random_file,
    record_metrics,
    seal,
    set_aside,
    sweep,
)
from locat.engine.checkpoints.random_state import random_state, set_random_state
from locat.engine.distributed import Ranks
from locat.engine.strategies import Snapshot, Strategy

logger = logging.getLogger(__name__)

NOT_WRITTEN = (OSError, RuntimeError, CheckpointException, Superseded)
"""What a full or failing disk raises here, in Python, torch's zip writer and DCP; and what an attempt meets that is no
longer the newest, which whoever trains then hears of by itself."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint is made of, in host memory."""

    position: Position
    metrics: dict[str, float]
    task_state: dict[str, torch.Tensor]
    random: dict[str, torch.Tensor]
    snapshot: Snapshot


class Restored(NamedTuple):
    """Where training goes on."""

    position: Position
    task_state: dict[str, torch.Tensor]
    """Empty at the start."""
    metrics: dict[str, float]
    """What an evaluation of this very state found; empty without one."""


class Checkpoints:
    """The checkpoints of one job. Every rank must make every call, and close it at the end."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        ranks: Ranks,
        config: dict[str, Any],
        as_today: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> None:
        """`as_today` says what the config in a checkpoint, perhaps of an older version, means to this one."""
        self.folder, self.settings, self.ranks, self.config = folder, settings, ranks, config
        self._as_today = as_today
        self.stalled = 0.0
        """Seconds for which training has stood still for checkpoints."""
        self.failures = 0
        """Checkpoints that could not be written."""
        # The thread's own, so that nobody else's messages come between.
        self._group = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=ranks.timeout))
        self._writing: Future[None] | None = None
        self._fence = Fence.here()

    def save(
        self,
        strategy: Strategy,
        position: Position,
        task_state: Mapping[str, torch.Tensor],
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Begin to save the whole training state, which may change as soon as this returns.

        Args:
            strategy: whose weights and optimizer state are saved.
            position: where training stands.
            task_state: the same on all ranks.
            metrics: what an evaluation of this very state found.
        """
        started = perf_counter()
        self.wait()
        held = {name: value.detach().to("cpu", copy=True) for name, value in task_state.items()}
        saved = Saved(position, dict(metrics or {}), held, random_state(), strategy.snapshot())
        self._writing = Future()
        Thread(target=self._fulfil, args=(self._writing, saved), name="checkpoint", daemon=True).start()
        self.stalled += perf_counter() - started

    def wait(self) -> bool:
        """Wait for the checkpoint that is being written; whether it is complete, and True if there was none."""
        if self._writing is None:
            return True
        writing, self._writing = self._writing, None
        try:
            writing.result()
        except NotWritten as error:
            self.failures += 1
            logger.warning("%s; the checkpoints before it stay, and training goes on", error)
            return False
        return True

    def judge(self, position: Position, metrics: dict[str, float]) -> None:
        """Note what an evaluation found of the checkpoint that training was taken up from."""
        if self.ranks.is_main:
            try:
                self._fence.check()
                record_metrics(self._path(position), metrics)
            except (*UNREADABLE, Superseded) as error:
                logger.warning("what was found of step %d could not be noted (%s)", position.step, error)

    def metrics(self) -> dict[str, float]:
        """What they have cost this attempt so far."""
        return {"checkpoint/stalled_seconds": self.stalled, "checkpoint/failures": self.failures}

    @cached_property
    def newest(self) -> Path | None:
        """The newest checkpoint that verifies when first asked, by all ranks together; None if there is none."""
        name = self.ranks.from_main(self._take_stock() if self.ranks.is_main else None)
        return None if name is None else self.folder / name

    def begin_with(self, adopt: Callable[[], None]) -> None:
        """Where there is none, have the main rank put a first one into the folder; every rank must call it."""
        if self.newest is None:
            if self.ranks.is_main:
                adopt()
            del self.newest  # it is looked for again

    def restore(self, strategy: Strategy, start: Position = START) -> Restored:
        """Take up the newest checkpoint that verifies, from `start` if there is none.

        Raises:
            ConfigError: the checkpoint belongs to another config.
        """
        newest = self.newest
        if newest is None:
            return Restored(start, {}, {})
        manifest = Manifest.read(newest)
        if (config := self._as_today(manifest.config)) != self.config:
            raise ConfigError(
                f"{newest}: belongs to another config ({differing_keys(config, self.config)}); use a fresh job folder"
            )
        restored = self._take_up(newest, strategy)
        if self.ranks.rank < manifest.world_size:  # a rank more than there were draws its own
            set_random_state(torch.load(newest / random_file(self.ranks.rank), weights_only=True))
        logger.info("resumed from %s", newest)
        return restored

    def restore_best(self, strategy: Strategy) -> Restored | None:
        """Take up the best checkpoint; None where none is, and with a warning where it does not verify."""
        name = self.ranks.from_main(self._verified_best() if self.ranks.is_main else None)
        return None if name is None else self._take_up(self.folder / name, strategy)

    def _take_up(self, folder: Path, strategy: Strategy) -> Restored:
        manifest = Manifest.read(folder)
        strategy.load(folder / "strategy", manifest.world_size)
        task_state = torch.load(folder / TASK_STATE, map_location=self.ranks.device, weights_only=True)
        return Restored(manifest.position, task_state, manifest.metrics)

    def _verified_best(self) -> str | None:
        best = best_in(self.folder, self.settings)
        if best is not None and (fault := find_fault(best)) is not None:
            logger.warning("%s: %s; the last weights are left in place of the best ones", best, fault)
            return None
        return best.name if best else None

    def _take_stock(self) -> str | None:
        """Name of the newest checkpoint that verifies; what a kill has left is deleted, what is damaged set aside."""
        self._fence.check()
        sweep(self.folder)
        for checkpoint in reversed(checkpoints_in(self.folder)):
            fault = find_fault(checkpoint)
            if fault is None:
                self._delete_old()
                return checkpoint.name
            self._fence.check()
            aside = set_aside(checkpoint)
            logger.warning("%s: %s; set aside as %s", checkpoint, fault, aside.name)
        return None

    def _fulfil(self, writing: Future[None], saved: Saved) -> None:
        if self.ranks.device.type == "cuda":
            torch.cuda.set_device(self.ranks.device)  # each thread has its own
        try:
            self._write(saved)
        except BaseException as error:
            writing.set_exception(error)
        else:
            writing.set_result(None)

    def _write(self, saved: Saved) -> None:
        """Write, seal and rename a checkpoint, then delete what is not kept; in the thread, on all ranks together."""
        final = self._path(saved.position)
        temporary = final.with_name(f".{final.name}{self._fence.mark}{UNFINISHED}")
        main = self.ranks.is_main
        if self._together(final, lambda: main and (final / MANIFEST).exists()):
            return  # by an earlier attempt, which had come further

        def begin() -> None:
            if main:
                self._fence.check()
                sweep(self.folder)
                durable.make_folder(temporary, within=self.folder.parent)
                torch.save(saved.task_state, temporary / TASK_STATE)

        def own() -> None:  # by itself: who fails here must not leave the others in the next part's collectives
            torch.save(saved.random, temporary / random_file(self.ranks.rank))

        def shared() -> None:
            saved.snapshot(temporary / "strategy", self._group)

        def end() -> None:
            if main:
                what = {"metrics": saved.metrics, "config": self.config}
                seal(temporary, final, saved.position, self.ranks.world_size, self._fence, **what)
                self._delete_old()

        try:
            for part in (begin, own, shared, end):
                self._together(final, part)
        finally:
            if main:
                discard(temporary)  # room for the next one

    def _together(self, final: Path, part: Callable[[], bool | None]) -> bool:
        """Do a part of the work on all ranks; the main rank's result, or NotWritten on all if one of them failed."""
        result, fault = None, ""
        try:
            result = part()
        except NOT_WRITTEN as error:
            fault = f"{final.name} could not be saved ({_cause(error)})"
        answers = self.ranks.gather((result, fault), self._group)
        for _, told in answers:
            if told:
                raise NotWritten(told)
        return bool(answers[0][0])

    def _path(self, position: Position) -> Path:
        return at_step(self.folder, position.step)

    def _delete_old(self) -> None:
        there = complete(self.folder)
        kept = [*there[-self.settings.keep :], best_in(self.folder, self.settings)]
        for checkpoint in there:
            if checkpoint not in kept:
                self._fence.check()
                try:
                    delete(checkpoint)
                except OSError as error:
                    logger.warning("%s could not be deleted (%s)", checkpoint, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:  # else another rank may be dead, and the thread wait for it
            self.wait()


class NotWritten(Exception):
    """A checkpoint could not be written."""


def _cause(error: BaseException) -> str:
    """What went wrong in one line; DCP wraps the errors of all ranks, with their stacks."""
    if isinstance(error, CheckpointException):
        error, _ = next(iter(error.failures.values()))
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def differing_keys(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Names of the top-level keys in which two configs differ."""
    return ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))
