"""What a job will need, told before it runs: GPU-hours and storage, from its plan alone.

Both are estimates, and NaN where they are not known. GPU-hours assume that a GPU does
`SUSTAINED_FLOPS` and waits for nothing; they are not known for models whose cost is not in
locat/contract/published.py or that are built to another size.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher.plan import Plan, PlannedJob
from locat.config import TASKS, Model
from locat.contract.published import COUNTED, TAB_1, Published

SUSTAINED_FLOPS = 1e14
"""Floating-point operations a second of one GPU in bf16: a tenth of an H100's peak."""

_KNOWN = {published.model: published for published in (*TAB_1, *COUNTED)}
_WITH_LOCAT = {published.baseline: published for published in _KNOWN.values()}
_SAME_SIZE = {
    "class_token",
    "drop_path_rate",
    "dynamic_img_pad",
    "dynamic_img_size",
    "gaug",
    "global_pool",
    "img_size",
    "num_classes",
    "prr",
}
"""Arguments of a model that change its cost by little, or in a way that is accounted for."""


@dataclass(frozen=True)
class Estimate:
    """Of one job, or of several together."""

    gpu_hours: float
    """0 without GPUs."""
    storage: float
    """Bytes that stay: datasets, checkpoints, models."""


class Estimator:
    """Estimates for the jobs of one plan: the `locat.config.cost.Costs` that their configs ask."""

    def __init__(self, plan: Plan) -> None:
        self._folder_of = {job.name: plan.job_folder(job.name).outputs for job in plan.jobs}
        self._config_in = {
            self._folder_of[job.name]: TASKS[job.config["task"]].reading(job.config).model_validate(job.config)
            for job in plan.jobs
        }

    def of(self, job: PlannedJob) -> Estimate:
        """What `job` will need."""
        config = self._config_in[self._folder_of[job.name]]
        hours = config.operations(self) / SUSTAINED_FLOPS / 3600 if job.resources.gpus else 0.0
        return Estimate(hours, config.storage(self))

    def images(self, beton: Path, split: Literal["train", "val"]) -> float:
        upstream = self._config_in.get(beton.parent)
        return upstream.images()[split == "val"] if upstream else math.nan

    def multiply_adds(self, model: Model, size: int) -> float:
        """Attention's growth with the square is left out."""
        known = _known(model)
        return known.flops * 1e9 * (size / 224) ** 2 if known else math.nan

    def left_in(self, folder: Path) -> Model | None:
        config = self._config_in.get(folder)
        model, upstream = getattr(config, "model", None), getattr(config, "backbone", None)
        if isinstance(model, Model):
            return model
        return self.left_in(upstream) if isinstance(upstream, Path) else None

    def parameters(self, model: Model) -> float:
        known = _known(model)
        return 1e6 * known.params if known else math.nan


def _known(model: Model) -> Published | None:
    """What is known of a model, whichever weights its tag names."""
    name, _, _ = model.name.partition(".")
    known = _WITH_LOCAT if model.attach else _KNOWN
    return known.get(name) if model.args.keys() <= _SAME_SIZE else None
