"""What a job will need, told before it runs: GPU-hours and storage, from its plan alone.

Both are estimates, and NaN where they are not known. GPU-hours assume that a GPU does
`SUSTAINED_FLOPS` and waits for nothing; they are not known for models whose cost is not in
locat/contract/published.py or that are built to another size.
"""

import math
from dataclasses import dataclass
from typing import Any

from launcher.plan import Plan, PlannedJob
from locat.config import (
    TASKS,
    ConvertConfig,
    DinoConfig,
    HummingbirdConfig,
    JobConfig,
    KnnConfig,
    LinearConfig,
    Model,
    SegmentConfig,
    SupervisedConfig,
)
from locat.config.augmentation import SegmentationAugmentation
from locat.config.datasets import DigitsScenes
from locat.contract.published import COUNTED, TAB_1

SUSTAINED_FLOPS = 1e14
"""Floating-point operations a second of one GPU in bf16: a tenth of an H100's peak."""

FORWARD, TRAINING = 2, 6
"""Operations per multiply-add of a forward pass; of a forward and a backward pass."""

OPTIMIZER_STATE = 3
"""Copies of the weights in a checkpoint: the weights and AdamW's two moments."""

_KNOWN = {published.model: published for published in (*TAB_1, *COUNTED)}
_SAME_SIZE = {
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
    """Estimates for the jobs of one plan; it finds their datasets and backbones upstream."""

    def __init__(self, plan: Plan) -> None:
        self._folder_of = {job.name: plan.job_folder(job.name).outputs for job in plan.jobs}
        self._config_in = {
            self._folder_of[job.name]: TASKS[job.config["task"]].model_validate(job.config) for job in plan.jobs
        }

    def of(self, job: PlannedJob) -> Estimate:
        """What `job` will need."""
        config = self._config_in[self._folder_of[job.name]]
        hours = self._operations(config) / SUSTAINED_FLOPS / 3600 if job.resources.gpus else 0.0
        return Estimate(hours, self._storage(config))

    def _operations(self, config: JobConfig) -> float:
        """Floating-point operations of the whole job."""
        match config:
            case SupervisedConfig():
                return config.epochs * self._images(config, 0) * TRAINING * _cost(config.model, config.image_size)
            case DinoConfig(crops=crops):
                teacher = 2 * _cost(config.model, crops.global_size)
                student = teacher + crops.local_crops * _cost(config.model, crops.local_size)
                return config.epochs * self._images(config, 0) * (TRAINING * student + FORWARD * teacher)
            case LinearConfig():
                return config.epochs * self._images(config, 0) * self._frozen(config, config.image_size)
            case KnnConfig() | HummingbirdConfig():
                return (self._images(config, 0) + self._images(config, 1)) * self._frozen(config, config.image_size)
            case SegmentConfig(augment=SegmentationAugmentation(crop=crop)):
                images = config.iterations * config.batch_size + self._images(config, 1)
                return images * self._frozen(config, crop)
        return math.nan

    def _storage(self, config: JobConfig) -> float:
        match config:
            case ConvertConfig(dataset=DigitsScenes(image_size=size, train_scenes=train, val_scenes=val)):
                return 4 * size**2 * (train + val)
            case ConvertConfig(dataset=dataset):
                return sum(dataset.counts) * dataset.image_bytes if dataset.counts else math.nan
            case SupervisedConfig() | DinoConfig():
                copies = config.checkpoints.keep * OPTIMIZER_STATE + 1
                return copies * 4e6 * _KNOWN[config.model.name].params if _is_known(config.model) else math.nan
        return 0.0

    def _images(self, config: Any, split: int) -> float:
        """Images in the training (0) or the evaluation (1) set that `config` reads."""
        path = (config.data.train, config.data.val)[split]
        match self._config_in.get(path.parent):
            case ConvertConfig(dataset=DigitsScenes(train_scenes=train, val_scenes=val)):
                return (train, val)[split]
            case ConvertConfig(dataset=dataset) if dataset.counts:
                return dataset.counts[split]
        return math.nan

    def _frozen(self, config: Any, size: int) -> float:
        """Operations of the frozen backbone on one image."""
        match self._config_in.get(config.backbone):
            case SupervisedConfig(model=model) | DinoConfig(model=model):
                return FORWARD * _cost(model, size)
        return math.nan


def _is_known(model: Model) -> bool:
    return model.name in _KNOWN and model.args.keys() <= _SAME_SIZE


def _cost(model: Model, size: int) -> float:
    """Multiply-adds of one image of `size` x `size` pixels; attention's growth with the square is left out."""
    return _KNOWN[model.name].flops * 1e9 * (size / 224) ** 2 if _is_known(model) else math.nan
