"""The config of each task that trains or evaluates, with all that is said of the task: see `JobConfig`."""

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from locat.config.augmentation import (
    Augmentation,
    Decode,
    DinoCrops,
    DinoHead,
    ImageNetAugmentation,
    SegmentationAugment,
    SegmentationAugmentation,
    Temperatures,
    Unchanged,
)
from locat.config.backbone import FrozenConfig, TunedBackbone
from locat.config.base import (
    Fraction,
    Int,
    JobConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Protocol,
)
from locat.config.cost import FLOAT32, FORWARD, TRAINING, Costs
from locat.config.optimizer import Optimizer
from locat.config.segmentation import SegmentEvaluation, SegmentHead, SegmentHeadField, SegmentLoss
from locat.config.training import Data, Freeze, Model, Schedule, ScheduleName, TrainingConfig

MODEL_FOLDER = {"model": "", "metrics": "metrics.json"}
"""Outputs of a task that leaves a model: model.safetensors and config.json."""
ON_A_BACKBONE = {
    **TrainingConfig.lasting,
    **dict.fromkeys(("backbone", "model"), "its head was trained on the features of that backbone"),
}


class PretrainingConfig(TrainingConfig):
    """What tasks have that train a whole model and leave it."""

    outputs: ClassVar[dict[str, str]] = MODEL_FOLDER
    lasting: ClassVar[dict[str, str]] = {
        **TrainingConfig.lasting,
        "model": "its weights are of that model",
        "freeze": "what was frozen has no state to go on with",
    }

    model: Model
    epochs: PositiveInt
    schedule: Schedule = Schedule()
    freeze: Freeze | None = None
    """None: the whole model is trained from the start."""

    def storage(self, costs: Costs) -> float:
        """The checkpoints that are kept, and the model."""
        copies = self.checkpoints.left * self.optimizer.state_copies + 1
        return copies * FLOAT32 * costs.parameters(self.model)


class SupervisedConfig(PretrainingConfig):
    """Classify images (docs/method.md section 4)."""

    entry: ClassVar[str] = "locat.tasks.classification.supervised:supervised"
    headline: ClassVar[str] = "top1"
    label: ClassVar[str] = "top-1"
    trained: ClassVar[str] = "trained"
    evaluated: ClassVar[tuple[str, ...]] = ("top1", "top5")
    lasting: ClassVar[dict[str, str]] = {
        **PretrainingConfig.lasting,
        "ema_decay": "an average goes on, or there is none",
    }

    task: Literal["supervised"]
    augment: Augmentation = ImageNetAugmentation()
    label_smoothing: Fraction = 0.1
    image_size: PositiveInt = 224
    """Height and width of the model's input in pixels."""
    crop_pct: PositiveFraction = 0.9
    """Evaluation: size of the centre crop, as a fraction of the resized image's shorter side."""
    evaluate_epochs: PositiveInt = 1
    """Epochs between two evaluations; the end of the training evaluates too."""
    ema_decay: Fraction = 0.0
    """Decay per step of the EMA of the weights, which is then evaluated and exported; 0 for none."""

    def operations(self, costs: Costs) -> float:
        images = self.epochs * self.data.images(costs, "train")
        return images * TRAINING * costs.multiply_adds(self.model, self.image_size)


class DinoSchedule(Schedule):
    """The schedule of DINO: by default a cosine."""

    name: ScheduleName = "cosine"


class DinoConfig(PretrainingConfig):
    """Self-distillation without labels (Caron et al. 2021; docs/method.md section 4)."""

    entry: ClassVar[str] = "locat.tasks.self_supervised.dino:dino"
    trained: ClassVar[str] = "trained without labels (DINO)"
    evaluated: ClassVar[tuple[str, ...]] = ("entropy", "entropy_of_mean")
    lasting: ClassVar[dict[str, str]] = {
        **PretrainingConfig.lasting,
        "head": "its weights are of that head",
        "freeze_last_layer_epochs": PretrainingConfig.lasting["freeze"],
    }

    task: Literal["dino"]
    optimizer: Optimizer = Optimizer(lr=5e-4, weight_decay=0.04, clip_grad=3.0, clip="tensor")
    """Set `lr` to 5e-4 * batch_size / 256; `weight_decay` is the start of its cosine, and here applies to positions
    too."""
    weight_decay_end: NonNegativeFloat = 0.4
    schedule: DinoSchedule = DinoSchedule(warmup_epochs=10, min_lr=1e-6)
    crops: DinoCrops = DinoCrops()
    head: DinoHead = DinoHead()
    temperatures: Temperatures = Temperatures()
    centre_momentum: Fraction = 0.9
    teacher_momentum: Fraction = 0.996
    """Start of the teacher momentum's cosine to 1."""
    freeze_last_layer_epochs: NonNegativeInt = 1

    def operations(self, costs: Costs) -> float:
        """The teacher sees both large crops, the student all."""
        crops = self.crops
        teacher = 2 * costs.multiply_adds(self.model, crops.global_size)
        student = teacher + crops.local_crops * costs.multiply_adds(self.model, crops.local_size)
        return self.epochs * self.data.images(costs, "train") * (TRAINING * student + FORWARD * teacher)


class KnnConfig(FrozenConfig):
    """Weighted k-nearest-neighbour classification on a frozen backbone's [CLS] (docs/method.md section 4)."""

    entry: ClassVar[str] = "locat.tasks.classification.knn:knn"
    outputs: ClassVar[dict[str, str]] = {"metrics": "metrics.json"}
    distributed: ClassVar[bool] = True
    headline: ClassVar[str] = "top1_k20"

    task: Literal["knn"]
    data: Data
    neighbours: Annotated[list[PositiveInt], Field(min_length=1)] = [10, 20, 100, 200]
    temperature: PositiveFloat = 0.07
    batch_size: PositiveInt = 256
    """Images per forward pass, over all ranks."""
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    """Precision of autocast; the published numbers were measured in fp32."""
    loader_threads: PositiveInt = 1
    image_size: PositiveInt = 224
    crop_pct: PositiveFraction = 0.875
    seed: Int = 0

    @classmethod
    def column(cls, metric: str) -> str | None:
        """A column for each number of neighbours."""
        return f"{metric.removeprefix('top1_k')}-NN" if metric.startswith("top1_k") else None

    def operations(self, costs: Costs) -> float:
        return _all_images(self.data, costs) * FORWARD * self.multiply_adds(costs, self.image_size)


class LinearConfig(FrozenConfig, TrainingConfig):
    """Train one linear layer on a frozen backbone's [CLS] of the last block (docs/method.md section 4)."""

    entry: ClassVar[str] = "locat.tasks.classification.linear:linear"
    headline: ClassVar[str] = "top1"
    label: ClassVar[str] = "top-1, linear"
    outputs: ClassVar[dict[str, str]] = {"head": "head.safetensors", "metrics": "metrics.json"}
    evaluated: ClassVar[tuple[str, ...]] = ("top1", "top5")
    frozen_backbone: ClassVar[bool] = True
    lasting: ClassVar[dict[str, str]] = ON_A_BACKBONE

    task: Literal["linear"]
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    """Precision of autocast for backbone and head; the published numbers were measured in fp32."""
    epochs: PositiveInt = 100
    optimizer: Optimizer = Optimizer(name="sgd", lr=1e-3, weight_decay=0.0, clip_grad=0.0)
    """Set `lr` to 0.001 * batch_size / 256; it decays to 0 by a cosine."""
    crop_scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    decode: Decode = "full"
    """scaled: JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where the crop is at least so much larger than
    `image_size`: 1.2 times as fast from 1000 x 750 pixels, and pixels that differ by 1 to 2 levels of 255
    (docs/performance.md)."""
    flip: Fraction = 0.5
    image_size: PositiveInt = 224
    crop_pct: PositiveFraction = 0.875
    evaluate_epochs: PositiveInt = 1

    def operations(self, costs: Costs) -> float:
        images = self.epochs * self.data.images(costs, "train")
        return images * FORWARD * self.multiply_adds(costs, self.image_size)


class SegmentConfig(FrozenConfig, TrainingConfig, TunedBackbone):
    """Train a head on a backbone's patches (docs/method.md section 5), and the backbone as well (docs/segment.md)."""

    entry: ClassVar[str] = "locat.tasks.segmentation.segment:segment"
    headline: ClassVar[str] = "miou"
    label: ClassVar[str] = "mIoU"
    outputs: ClassVar[dict[str, str]] = {**MODEL_FOLDER, "head": "head.safetensors"}
    evaluated: ClassVar[tuple[str, ...]] = ("miou", "aacc", "macc")
    frozen_backbone: ClassVar[bool] = True
    usual: ClassVar[str] = "frozen"
    lasting: ClassVar[dict[str, str]] = {
        **ON_A_BACKBONE,
        **dict.fromkeys(("head", "hidden_dim"), "its weights are of that head"),
        "backbone_lr": "a frozen backbone is in no checkpoint, and DeepSpeed cuts its pieces by the parts' rates",
        "optimizer.lr": "DeepSpeed cuts its pieces of a backbone and its head by their rates",
        "protocol": "each protocol has features of its own",
    }

    task: Literal["segment"]
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    """Precision of autocast for backbone and head; the published numbers were measured in fp32."""
    protocol: Protocol = "release"
    """`release`: as the published numbers were made. `exact`: images normalised as the backbone was trained, logits
    laid where their patches are, not squeezed by the padding, a loss averaged over known pixels, not over all, and
    images antialiased where they shrink."""
    iterations: PositiveInt
    optimizer: Optimizer = Optimizer(lr=1e-3, weight_decay=0.01, clip_grad=0.0)
    augment: SegmentationAugment = Unchanged()
    head: SegmentHeadField = SegmentHead()
    hidden_dim: PositiveInt = 512
    """Head mlp: channels between its two 1x1 convolutions."""
    loss: SegmentLoss = SegmentLoss()
    evaluation: SegmentEvaluation = SegmentEvaluation()
    evaluate_iterations: PositiveInt | None = None
    """Iterations between two evaluations; by default only the end evaluates."""

    @model_validator(mode="after")
    def _evaluates_before_it_stops(self) -> "SegmentConfig":
        if self.early_stop is not None and self.evaluate_iterations is None:
            raise ValueError("early_stop needs evaluate_iterations: without it there is one evaluation, at the end")
        return self

    @property
    def variant(self) -> str:
        backbone = "trained" if self.backbone_lr else "frozen"
        return ", ".join(filter(None, (f"{backbone} {self.head.called}".rstrip(), self.evaluation.called)))

    def operations(self, costs: Costs) -> float:
        """Not known of images that stay as they are: only the dataset says how large these are."""
        if not isinstance(self.augment, SegmentationAugmentation):
            return math.nan
        crop = self.augment.crop
        backbone = TRAINING if self.backbone_lr else FORWARD
        step = backbone * self.multiply_adds(costs, crop) + TRAINING * self.head.multiply_adds(crop)
        looks, side = self.evaluation.looks(crop)
        look = FORWARD * (self.multiply_adds(costs, side) + self.head.multiply_adds(side))
        return self.iterations * self.batch_size * step + self.data.images(costs, "val") * looks * look

    def storage(self, costs: Costs) -> float:
        """What the job leaves, and the checkpoints that are kept, in which a frozen backbone is not."""
        backbone, head = self.parameters(costs), self.head.parameters()
        trained = head + (backbone if self.backbone_lr else 0)
        copies = self.checkpoints.left * self.optimizer.state_copies
        return FLOAT32 * (backbone + head + copies * trained)


class HummingbirdConfig(FrozenConfig):
    """Segment by retrieval: each patch takes the labels of its nearest patches in a memory bank; nothing is trained."""

    entry: ClassVar[str] = "locat.tasks.segmentation.hummingbird:hummingbird"
    outputs: ClassVar[dict[str, str]] = {"metrics": "metrics.json"}
    distributed: ClassVar[bool] = True
    headline: ClassVar[str] = "miou"
    label: ClassVar[str] = "mIoU by retrieval"

    task: Literal["hummingbird"]
    data: Data
    protocol: Protocol = "exact"
    """`exact`: whole images, scored at their own size. `release`: as the released script, see docs/fidelity.md."""
    image_size: PositiveInt | None = None
    """Height and width in pixels to which images are resized; by default 512, with `protocol: release` 224."""
    memory_size: PositiveInt | None = None
    """Patches in the bank over all training images; by default 10,240,000, with `protocol: release` all of them."""
    neighbours: PositiveInt = 30
    temperature: PositiveFloat = 0.02
    batch_size: PositiveInt = 32
    """Images per forward pass, over all ranks."""
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    """Precision of autocast; the published numbers were measured in fp32."""
    loader_threads: PositiveInt = 1
    seed: Int = 0
    """Seed of the choice of patches in the bank, and of the release's random views."""

    @property
    def side(self) -> int:
        """Height and width in pixels of what the backbone sees."""
        return self.image_size or (224 if self.protocol == "release" else 512)

    @property
    def most_patches(self) -> int | None:
        """Patches in the bank over all training images; None for all there are."""
        return self.memory_size or (None if self.protocol == "release" else 10_240_000)

    def operations(self, costs: Costs) -> float:
        return _all_images(self.data, costs) * FORWARD * self.multiply_adds(costs, self.side)


class CompareConfig(JobConfig):
    """Compare the numbers of upstream jobs, one row per model."""

    entry: ClassVar[str] = "locat.tasks.compare:compare"
    outputs: ClassVar[dict[str, str]] = {"table": "comparison.json"}

    task: Literal["compare"]
    results: Annotated[list[Path], Field(min_length=1)]
    """metrics.json files of upstream jobs."""


def _all_images(data: Data, costs: Costs) -> float:
    return data.images(costs, "train") + data.images(costs, "val")
