"""Checkpoints that are complete and digested, or not there.

A checkpoint is written to a fresh temporary folder, every file is fsynced and digested into
manifest.json, then the folder is renamed to step-<n>. Nothing is ever overwritten. On load the
newest one whose digests hold is used; one that does not verify is named and set aside.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from locat import durable
from locat.engine.distributed import Ranks
from locat.engine.strategies import Strategy
from locat.errors import ConfigError

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
TASK_STATE = "task.pt"


@dataclass(frozen=True)
class Position:
    """Where training stands: what was consumed, not what was fetched."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epoch of the next batch."""
    batch: int = 0
    """The next batch's number within its epoch."""


class Checkpoints:
    """The checkpoints of one job."""

    def __init__(self, folder: Path, keep: int, ranks: Ranks, config: dict[str, Any]) -> None:
        self.folder, self.keep, self.ranks, self.config = folder, keep, ranks, config

    def save(self, strategy: Strategy, position: Position, task_state: Mapping[str, torch.Tensor]) -> None:
        """Save the whole training state; `task_state` is the same on all ranks. Every rank must call it."""
        final = self.folder / f"step-{position.step:07d}"
        temporary = self.folder / f".{final.name}.partial"
        if self.ranks.is_main:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            torch.save(dict(task_state), temporary / TASK_STATE)
        self.ranks.barrier()
        strategy.save(temporary / "strategy")
        torch.save(random_state(), temporary / f"random-{self.ranks.rank}.pt")
        self.ranks.barrier()
        if self.ranks.is_main and not final.exists():
            write_manifest(temporary, asdict(position), self.ranks.world_size, self.config)
            temporary.rename(final)
            durable.sync_folder(self.folder)
            for old in self._complete()[: -self.keep]:
                shutil.rmtree(old)
        self.ranks.barrier()

    def restore(self, strategy: Strategy) -> tuple[Position, dict[str, torch.Tensor]]:
        """Take up the newest checkpoint that verifies, from the start if there is none. Every rank must call it.

        Returns where training stands, and the task's state, empty at the start.

        Raises:
            ConfigError: the checkpoint belongs to another config, or needs another number of ranks.
        """
        newest = self.ranks.from_main(self._newest_verified() if self.ranks.is_main else None)
        if newest is None:
            return Position(), {}
        manifest = json.loads((newest / MANIFEST).read_text())
        if manifest["config"] != self.config:
            raise ConfigError(
                f"{newest}: belongs to another config ({differing_keys(manifest['config'], self.config)}); "
                "use a fresh job folder"
            )
        if self.config["strategy"]["name"] == "deepspeed" and manifest["world_size"] != self.ranks.world_size:
            raise ConfigError(
                f"{newest}: DeepSpeed saved it with {manifest['world_size']} ranks and cannot load it "
                f"with {self.ranks.world_size}; run with {manifest['world_size']}"
            )
        strategy.load(newest / "strategy")
        random_file = newest / f"random-{self.ranks.rank}.pt"
        if random_file.exists():
            set_random_state(torch.load(random_file, weights_only=True))
        task_state = torch.load(newest / TASK_STATE, map_location=self.ranks.device, weights_only=True)
        logger.info("resumed from %s", newest)
        return Position(**manifest["position"]), task_state

    def _complete(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _newest_verified(self) -> Path | None:
        for checkpoint in reversed(self._complete()):
            fault = find_fault(checkpoint)
            if fault is None:
                return checkpoint
            aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
            checkpoint.rename(aside)
            logger.warning("%s: %s; set aside as %s", checkpoint, fault, aside.name)
        return None


def write_manifest(folder: Path, position: dict[str, int], world_size: int, config: dict[str, Any]) -> None:
    """Fsync and digest every file below `folder`, then write its manifest."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            durable.sync_file(path)
            files[str(path.relative_to(folder))] = durable.sha256(path)
        else:
            durable.sync_folder(path)
    manifest = {"position": position, "world_size": world_size, "config": config, "files": files}
    durable.write_json(folder / MANIFEST, manifest)


def find_fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, None if every digest holds."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"its manifest cannot be read ({error})"
    for name, digest in files.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if durable.sha256(path) != digest:
            return f"{name} has been altered"
    return None


def differing_keys(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Names of the top-level keys in which two configs differ."""
    return ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's generators. Data never draw from them: they are keyed by (seed, epoch, sample)."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """The inverse of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
