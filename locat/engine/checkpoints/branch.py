"""The first checkpoint of a job that goes on from another run's: its files, under the job's own config and position."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

import torch

from locat.config import TrainingConfig
from locat.config.branch import differences, refusals
from locat.config.choice import choose
from locat.contract import durable
from locat.contract.checkpoint_folder import MANIFEST, PINNED, at_step, complete, link
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.fence import UNFINISHED, Fence
from locat.contract.job_folder import JobFolder
from locat.contract.problems import dotted
from locat.data.position import Position
from locat.engine.checkpoints.checkpoints import Checkpoints
from locat.engine.checkpoints.manifest import TASK_STATE, Manifest, discard, find_fault, seal
from locat.engine.early_stop import PREFIX

logger = logging.getLogger(__name__)

RECORD = "branch.json"
"""Below outputs/, of which MLflow has a copy."""


def begin(checkpoints: Checkpoints, job: JobFolder, config: TrainingConfig, batches_per_epoch: int) -> None:
    """Where `config.branch` says so and `job` has no checkpoint, give it the first one; every rank must call it."""
    if config.branch is not None:
        checkpoints.begin_with(lambda: adopt(job, config, batches_per_epoch))
        if checkpoints.ranks.is_main:
            discard(job.path / PINNED)


def adopt(job: JobFolder, config: TrainingConfig, batches_per_epoch: int) -> None:
    """Make the checkpoint that `config.branch` names the first one of `job`; killed, it begins again. Main rank only.

    Args:
        batches_per_epoch: of the job's training set, in its own batches.

    Raises:
        ConfigError: the config cannot go on from that checkpoint.
        WeightsError: there is none, or it is damaged.
        Superseded: a newer attempt of the job has begun.
    """
    source, fence = _source(job, config), Fence.here()
    fence.check()
    temporary = job.checkpoints / f".{source.name}{fence.mark}{UNFINISHED}"
    discard(temporary)  # what a job by hand has left, all of whose attempts have one name
    durable.make_folder(temporary, within=job.path)
    try:
        try:
            link(source, temporary)
        except FileNotFoundError as error:
            raise WeightsError(f"{source} is being deleted; name another checkpoint") from error
        if (fault := find_fault(temporary)) is not None:
            raise WeightsError(f"{source}: {fault}; name another checkpoint")
        manifest = Manifest.read(temporary)
        if found := list(refusals(manifest.config, config, asdict(manifest.position))):
            raise ConfigError("; ".join(f"{dotted(path)}: {why}" for path, why in found) + f" ({source})")
        position = moved(manifest, config, batches_per_epoch)
        _forget_what_counts_otherwise(temporary / TASK_STATE, manifest, config)
        _record(job, config, source, manifest, position)
        (temporary / MANIFEST).unlink()
        final = at_step(job.checkpoints, position.step)
        what = {"metrics": manifest.metrics, "config": config.decisive()}
        seal(temporary, final, position, manifest.world_size, fence, **what)
    finally:
        discard(temporary)


def moved(manifest: Manifest, config: TrainingConfig, batches_per_epoch: int) -> Position:
    """Where a checkpoint stands in the batches of `config`: as many images into the same epoch.

    A task that counts epochs has its schedules by them, and so the step that it would have come to in its own batches.
    """
    old, before = manifest.position, manifest.config["batch_size"]
    if before == config.batch_size:
        return old
    batch = old.batch * before // config.batch_size  # of an epoch's last images, which make no batch, none is counted
    epoch, batch = (old.epoch + 1, 0) if batch >= batches_per_epoch else (old.epoch, batch)
    step = epoch * batches_per_epoch + batch if hasattr(config, "epochs") else old.step
    return replace(old, step=step, epoch=epoch, batch=batch)


def _source(job: JobFolder, config: TrainingConfig) -> Path:
    """The checkpoint as it was when the job was submitted, or else where the other job keeps it."""
    assert config.branch is not None, "the job goes on from one"
    if pinned := complete(job.path / PINNED):
        return pinned[-1]
    return choose(JobFolder(config.branch.job), config.branch.at)


def _forget_what_counts_otherwise(file: Path, manifest: Manifest, config: TrainingConfig) -> None:
    """Have `early_stop` count anew where it looks at another metric, or where steps are of another size."""
    was, now = manifest.config.get("early_stop"), config.early_stop
    before = (was or {}).get("metric"), (was or {}).get("best_is"), manifest.config["batch_size"]
    if now is not None and before == (now.metric, now.best_is, config.batch_size):
        return
    state = torch.load(file, weights_only=True)
    if any(key.startswith(PREFIX) for key in state):
        file.unlink()  # the other job's, by another name
        torch.save({key: value for key, value in state.items() if not key.startswith(PREFIX)}, file)


def _record(job: JobFolder, config: TrainingConfig, source: Path, manifest: Manifest, position: Position) -> None:
    """Log what the job goes on from and what has changed, and write outputs/branch.json."""
    assert config.branch is not None
    changed = list(differences(config.as_today(manifest.config), config.decisive()))
    keys = ", ".join(dotted(path) for path, *_ in changed) or "nothing"
    logger.info("goes on from %s of %s at step %d; changed: %s", source.name, config.branch, position.step, keys)
    record = {
        "job": str(config.branch.job),
        "checkpoint": source.name,
        **asdict(position),
        "changed": {dotted(path): [was, now] for path, was, now in changed},
    }
    durable.make_folder(job.outputs, within=job.path)
    durable.write_json(job.outputs / RECORD, record)
