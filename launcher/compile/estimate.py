"""What a job will need, told before it runs: GPU-hours and storage, from its plan alone.

Both are estimates, and NaN where they are not known: for models whose cost is not in locat/contract/published.py or
that are built to another size. GPU-hours are a range, from the shares of a GPU's peak that launcher/compile/speed.py
assumes, and wait for nothing; they are not known for GPUs that are not in locat/contract/gpus.py or the pipeline.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher.compile.speed import ASSUMED, NOTHING, UNKNOWN, Range, speed
from launcher.plan import Plan, PlannedJob
from locat.config import TASKS, JobConfig, Model
from locat.contract import gpus
from locat.contract.published import COUNTED, TAB_1, Published

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

    gpu_hours: Range
    """0 without GPUs."""
    storage: float
    """Bytes that stay: datasets, checkpoints, models."""
    gpu: str = ""
    """The type of GPU that the hours are of; empty where there are none."""
    basis: str = ""
    """What the hours were computed from, or why they are not known; empty where there are none."""


class Estimator:
    """Estimates for the jobs of one plan: the `locat.config.cost.Costs` that their configs ask."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder_of = {job.name: plan.job_folder(job.name).outputs for job in plan.jobs}
        self._config_in = {
            self._folder_of[job.name]: TASKS[job.config["task"]].reading(job.config).model_validate(job.config)
            for job in plan.jobs
        }

    def of(self, job: PlannedJob) -> Estimate:
        """What `job` will need."""
        config = self._config_in[self._folder_of[job.name]]
        storage = config.storage(self)
        if not job.resources.gpus:
            return Estimate(NOTHING, storage)
        name = job.resources.gpu_type
        gpu = gpus.find(name or ASSUMED, self._plan.gpus)
        if gpu is None:
            return Estimate(UNKNOWN, storage, basis=gpus.unknown(name, self._plan.gpus))
        operations, model = config.operations(self), self._model_of(config)
        if math.isnan(operations) or model is None:
            return Estimate(UNKNOWN, storage)
        found = speed(gpu, getattr(config, "precision", "bf16"), self.parameters(model))
        basis = f"{found}{'' if name else ' (no gpu_type is named)'}"
        return Estimate(found.hours(operations), storage, gpu.name, basis)

    def _model_of(self, config: JobConfig) -> Model | None:
        """The model that a job trains, or evaluates."""
        model, upstream = getattr(config, "model", None), getattr(config, "backbone", None)
        if isinstance(model, Model):
            return model
        return self.left_in(upstream) if isinstance(upstream, Path) else None

    def images(self, beton: Path, split: Literal["train", "val"]) -> float:
        upstream = self._config_in.get(beton.parent)
        return upstream.images()[split == "val"] if upstream else math.nan

    def multiply_adds(self, model: Model, size: int) -> float:
        """Attention's growth with the square is left out."""
        known = _known(model)
        return known.flops * 1e9 * (size / 224) ** 2 if known else math.nan

    def left_in(self, folder: Path) -> Model | None:
        config = self._config_in.get(folder)
        return None if config is None else self._model_of(config)

    def parameters(self, model: Model) -> float:
        known = _known(model)
        return 1e6 * known.params if known else math.nan


def _known(model: Model) -> Published | None:
    """What is known of a model, whichever weights its tag names."""
    name, _, _ = model.name.partition(".")
    known = _WITH_LOCAT if model.attach else _KNOWN
    return known.get(name) if model.args.keys() <= _SAME_SIZE else None
