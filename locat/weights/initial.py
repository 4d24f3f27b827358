"""`model.init`, done: read by the main rank, the same on all ranks, written down in the log and in outputs/."""

import logging
from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torch import nn

from locat.config import Model
from locat.config.weights import Init
from locat.contract import durable
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.engine.distributed import Ranks
from locat.models.attach import attached_parameters
from locat.weights.files import Statistics, Weights
from locat.weights.fit import Fit, fit, refuse
from locat.weights.source import read

logger = logging.getLogger(__name__)

RECORD = "init.json"
"""Below outputs/, of which MLflow has a copy."""


def initialise(model: nn.Module, config: Model, job: JobFolder, ranks: Ranks, frozen: bool = False) -> None:
    """Give a new model, still on the CPU, the weights of `config.init`; nothing without one. Every rank must call it.

    Its images are from then on normalised as those that the weights were trained on, where the source says how.
    What `config.attach` adds may be new, but in a `frozen` model only where it changes nothing.

    Raises:
        WeightsError, ConfigError, JobError: as `read` and `refuse`, on the main rank.
    """
    if config.init is None:
        return
    taken: Statistics = {}
    if ranks.is_main:
        weights = read(config.init, model, config.name)
        may_be_new = config.attach is not None and (config.attach.init == "identity" or not frozen)
        found = fit(model, weights, attached_parameters(model) if may_be_new else frozenset())
        refuse(found, model, weights.origin)
        _record(config.init, weights, found, job)
        taken = weights.statistics
    describe(model, ranks.from_main(taken))
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, 0)


def describe(model: Any, values: Mapping[str, Any]) -> None:
    """Have timm's description of `model` say `values`, such as the mean and std that its images are normalised by."""
    model.pretrained_cfg.update(values)


def _record(init: Init, weights: Weights, found: Fit, job: JobFolder) -> None:
    """Log what was loaded, and write outputs/init.json."""
    logger.info("begins with %s (sha256 %s): %d tensors", weights.origin, weights.sha256, len(found.loaded))
    for what, names in {"not loaded, and new": found.missing, "not used": found.unused}.items():
        if names:
            logger.warning("%s: %s", what, ", ".join(names))
    record = {
        **init.model_dump(mode="json"),
        "origin": weights.origin,
        "sha256": weights.sha256,
        "loaded": len(found.loaded),
        "not_loaded": found.missing,
        "not_used": found.unused,
    }
    Fence.here().check()
    durable.make_folder(job.outputs, within=job.path)
    durable.write_json(job.outputs / RECORD, record)
