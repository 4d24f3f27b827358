"""Weights of the service's own jobs: the model that one left, or one of its checkpoints."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from locat.config.choice import choose
from locat.contract.errors import JobError, WeightsError
from locat.contract.job_folder import JobFolder
from locat.engine.checkpoints import dcp_reading
from locat.engine.checkpoints.manifest import TASK_STATE, Manifest, find_fault
from locat.weights.files import LEFT, Statistics, Weights, read_folder, statistics_in, unpickled

AVERAGED, TRAINED = "shadow", "model"
"""In a checkpoint: the average that followed training, and what was trained."""
STATISTICS = "statistics"
"""In a task's state: mean and std that its images are normalised by, of three channels each."""


def keep_statistics(mean: Sequence[float], std: Sequence[float]) -> dict[str, Tensor]:
    """What a task's state says of them: the job's config.json is there at its end alone, a checkpoint before."""
    return {STATISTICS: torch.tensor([mean, std], dtype=torch.float64)}


def kept_statistics(state: Mapping[str, Tensor]) -> Statistics:
    """Those of a task's state; empty where an older version wrote it, or a task that has none."""
    return dict(zip(("mean", "std"), state[STATISTICS].tolist(), strict=True)) if STATISTICS in state else {}


def read_job(folder: Path, at: str, choice: str | None) -> Weights:
    """The weights of a job in `folder`: of the checkpoint `at` a step or `best`, of the newest where only `choice` is
    given, or the model that it left.

    Raises:
        WeightsError: there is no such job or checkpoint, or it is damaged.
    """
    job = JobFolder(folder)
    if not job.config.exists():
        raise WeightsError(f"{folder} is no job's folder: it has no config.yaml")
    if not at and choice is None:
        if not (job.outputs / LEFT).exists():
            raise WeightsError(f"{folder} has left no {LEFT}; wait for its end, or name a checkpoint: @best or @STEP")
        return read_folder(job.outputs)
    weights = read_checkpoint(choose(job, at), choice)
    return weights if weights.statistics else weights._replace(statistics=statistics_in(job.outputs))


def read_checkpoint(checkpoint: Path, choice: str | None) -> Weights:
    """The weights in a checkpoint, once its digests have been verified.

    Raises:
        WeightsError: it is damaged, is DeepSpeed's, or has no average.
    """
    if (fault := find_fault(checkpoint)) is not None:
        raise WeightsError(f"{checkpoint}: {fault}; name another checkpoint")
    strategy = checkpoint / "strategy"
    if not (strategy / ".metadata").exists():
        raise WeightsError(f"{checkpoint} is a checkpoint of DeepSpeed; take what the job leaves at its end")
    wanted = [TRAINED] if choice in ("student", "model") else [AVERAGED] if choice else [AVERAGED, TRAINED]
    try:
        found = next(filter(None, (dcp_reading.read(strategy, f"{part}.") for part in wanted)), None)
    except JobError as error:
        raise WeightsError(f"{checkpoint} is not a checkpoint of ours: it asks for code, which is not run") from error
    if found is None:
        raise WeightsError(f"{checkpoint} holds no {choice}: its job follows its weights with no average")
    kept = kept_statistics(unpickled(checkpoint / TASK_STATE))
    digests = "\0".join(f"{name} {digest}" for name, digest in sorted(Manifest.read(checkpoint).files.items()))
    return Weights(found, str(checkpoint), hashlib.sha256(digests.encode()).hexdigest(), kept)
