"""The config of each task that trains or evaluates, with the files it leaves."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from locat.config.augmentation import (
    Augmentation,
    DinoCrops,
    DinoHead,
    ImageNetAugmentation,
    SegmentationAugment,
    Temperatures,
    Unchanged,
)
from locat.config.base import (
    Fraction,
    Int,
    JobConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
)
from locat.config.training import Data, Model, Optimizer, Schedule, TrainingConfig

MODEL_FOLDER = {"model": "", "metrics": "metrics.json"}
"""Outputs of a task that leaves a model: model.safetensors and config.json."""


class SupervisedConfig(TrainingConfig):
    """Classify images (docs/method.md section 4)."""

    outputs: ClassVar[dict[str, str]] = MODEL_FOLDER
    evaluated: ClassVar[tuple[str, ...]] = ("top1", "top5")

    task: Literal["supervised"]
    model: Model
    epochs: PositiveInt
    schedule: Schedule = Schedule()
    augment: Augmentation = ImageNetAugmentation()
    label_smoothing: Fraction = 0.1
    image_size: PositiveInt = 224
    """Height and width in pixels of what the model sees."""
    crop_pct: PositiveFraction = 0.9
    """Evaluation: the centre crop's size as a part of the resized image's shorter side."""
    evaluate_epochs: PositiveInt = 1
    """Epochs between two evaluations; there is one at the end as well."""
    ema_decay: Fraction = 0.0
    """Evaluate and export an exponential moving average of the weights, of this decay per step; 0 for none."""


class DinoConfig(TrainingConfig):
    """Self-distillation without labels (Caron et al. 2021; docs/method.md section 4)."""

    outputs: ClassVar[dict[str, str]] = MODEL_FOLDER
    evaluated: ClassVar[tuple[str, ...]] = ("entropy", "entropy_of_mean")

    task: Literal["dino"]
    model: Model
    epochs: PositiveInt
    optimizer: Optimizer = Optimizer(lr=5e-4, weight_decay=0.04, clip_grad=3.0, clip="tensor")
    """`lr` is to be 5e-4 * batch_size / 256; `weight_decay` is where its cosine begins, here of positions as well."""
    weight_decay_end: NonNegativeFloat = 0.4
    schedule: Schedule = Schedule(warmup_epochs=10, min_lr=1e-6)
    """After the warm-up the learning rate falls by a cosine."""
    crops: DinoCrops = DinoCrops()
    head: DinoHead = DinoHead()
    temperatures: Temperatures = Temperatures()
    centre_momentum: Fraction = 0.9
    teacher_momentum: Fraction = 0.996
    """Where its cosine to 1 begins."""
    freeze_last_layer_epochs: NonNegativeInt = 1


class KnnConfig(JobConfig):
    """Weighted k-nearest-neighbour classification on a frozen backbone's [CLS] (docs/method.md section 4)."""

    outputs: ClassVar[dict[str, str]] = {"metrics": "metrics.json"}
    distributed: ClassVar[bool] = True

    task: Literal["knn"]
    backbone: Path
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    data: Data
    neighbours: Annotated[list[PositiveInt], Field(min_length=1)] = [10, 20, 100, 200]
    temperature: PositiveFloat = 0.07
    batch_size: PositiveInt = 256
    """Images of one forward pass over all ranks."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    loader_threads: PositiveInt = 1
    image_size: PositiveInt = 224
    crop_pct: PositiveFraction = 0.875
    seed: Int = 0


class LinearConfig(TrainingConfig):
    """Train one linear layer on a frozen backbone's [CLS] of the last block (docs/method.md section 4)."""

    outputs: ClassVar[dict[str, str]] = {"head": "head.safetensors", "metrics": "metrics.json"}
    evaluated: ClassVar[tuple[str, ...]] = ("top1", "top5")

    task: Literal["linear"]
    backbone: Path
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    epochs: PositiveInt = 100
    optimizer: Optimizer = Optimizer(name="sgd", lr=1e-3, weight_decay=0.0, clip_grad=0.0)
    """`lr` is to be 0.001 * batch_size / 256; it falls by a cosine to 0."""
    crop_scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    flip: Fraction = 0.5
    image_size: PositiveInt = 224
    crop_pct: PositiveFraction = 0.875
    evaluate_epochs: PositiveInt = 1


class SegmentConfig(TrainingConfig):
    """Train a small head on a frozen backbone's patches (docs/method.md section 5)."""

    outputs: ClassVar[dict[str, str]] = {"head": "head.safetensors", "metrics": "metrics.json"}
    evaluated: ClassVar[tuple[str, ...]] = ("miou", "aacc", "macc")

    task: Literal["segment"]
    backbone: Path
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    iterations: PositiveInt
    optimizer: Optimizer = Optimizer(lr=1e-3, weight_decay=0.01, clip_grad=0.0)
    augment: SegmentationAugment = Unchanged()
    hidden_dim: PositiveInt = 512
    """Channels between the head's two 1x1 convolutions."""
    evaluate_iterations: PositiveInt | None = None
    """Iterations between two evaluations; by default there is one at the end alone."""


class HummingbirdConfig(JobConfig):
    """Segment by retrieval: each patch takes the labels of its nearest patches in a memory bank; nothing is trained."""

    outputs: ClassVar[dict[str, str]] = {"metrics": "metrics.json"}
    distributed: ClassVar[bool] = True

    task: Literal["hummingbird"]
    backbone: Path
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    data: Data
    image_size: PositiveInt = 512
    """Height and width in pixels to which images are resized."""
    memory_size: PositiveInt = 10_240_000
    """Patches in the bank over all training images."""
    neighbours: PositiveInt = 30
    temperature: PositiveFloat = 0.02
    batch_size: PositiveInt = 32
    """Images of one forward pass over all ranks."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    loader_threads: PositiveInt = 1
    seed: Int = 0
    """Of which patches the bank keeps."""


class CompareConfig(JobConfig):
    """Put the numbers of upstream jobs side by side, a row per model."""

    outputs: ClassVar[dict[str, str]] = {"table": "comparison.json"}

    task: Literal["compare"]
    results: Annotated[list[Path], Field(min_length=1)]
    """metrics.json files of upstream jobs."""
