"""What `segment` leaves in its folder: a backbone as timm's, a head, and what both are; saved and loaded again."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from locat.config.base import Float, PositiveFloat, PositiveInt, Protocol, Schema
from locat.config.segmentation import SegmentEvaluation, SegmentHead
from locat.config.weights import Init, job_weights, local_path
from locat.contract import durable
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.contract.problems import dotted
from locat.data.augment.normalise import Statistics, normalize
from locat.data.intake.brightness import Brightness
from locat.models.create import load_backbone, save_model
from locat.models.segmentation_head import blocks_read, new_head
from locat.models.segmenter import Segmenter
from locat.tasks.segmentation.protocol import covered
from locat.tasks.segmentation.upsampled import Size, classify, size_of
from locat.tasks.segmentation.views import look

logger = logging.getLogger(__name__)

HEAD, DESCRIPTION = "head.safetensors", "segmentation.json"
FORMAT = 1
"""Of the description."""


class Described(Schema):
    """A segmentation model but for its weights."""

    head: SegmentHead
    hidden_dim: PositiveInt
    classes: tuple[str, ...]
    """By their numbers in a prediction."""
    mean: Annotated[tuple[Float, ...], Field(min_length=3, max_length=3)]
    """Of the images that it was trained on, by which they are normalised."""
    std: Annotated[tuple[PositiveFloat, ...], Field(min_length=3, max_length=3)]
    protocol: Protocol
    resize: tuple[PositiveInt, PositiveInt] | None = None
    """Longer and shorter side into which an image is brought, its ratio kept; None: it stays as it is."""
    evaluation: SegmentEvaluation = SegmentEvaluation()
    """By which it was evaluated."""
    brightness: dict[str, Any] = Field(default_factory=dict)
    """Of the dataset's options, `range` or `percentiles`: which numbers in deep images are black and white."""

    @field_validator("brightness")
    @classmethod
    def _is_brightness(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            Brightness.of(options)
        except TypeError as error:  # which pydantic does not take for a finding
            raise ValueError(str(error)) from error
        return options

    @classmethod
    def read(cls, folder: Path) -> "Described":
        """Raises WeightsError where the folder holds none."""
        file = folder / DESCRIPTION
        try:
            values = json.loads(file.read_text())
            version = values.pop("format")
            if version != FORMAT:  # whose other values may mean anything
                raise WeightsError(f"{file} has format {version}, this version reads {FORMAT}")
            return cls.model_validate(values)
        except FileNotFoundError as error:
            raise WeightsError(f"{folder} holds no {DESCRIPTION}; `segment` leaves one") from error
        except ValidationError as error:
            reason = "; ".join(f"{dotted(found['loc'])}: {found['msg']}" for found in error.errors())
            raise WeightsError(f"{file} does not describe a segmentation model: {reason}") from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"{file} does not describe a segmentation model: {error}") from error


@dataclass(frozen=True)
class SegmentationModel:
    """A trained segmentation model: what `load_segmenter` gives."""

    segmenter: Segmenter
    """In eval mode: normalised images (n, 3, H, W) -> logits of patches (n, classes, h, w)."""
    blocks: tuple[int, ...]
    """Whose patches the head reads, counted from 0."""
    described: Described

    @property
    def classes(self) -> tuple[str, ...]:
        """By their numbers in a prediction."""
        return self.described.classes

    @torch.no_grad()
    def predict(self, images: Tensor, size: Size | None = None) -> Tensor:
        """The class of each pixel of uint8 images (n, 3, H, W), brought to `size`, by default theirs: uint8 (n, *size).

        Images are looked at as large as they are: resize them first, see `locat.Model.segment`, which does.
        """
        shown = size_of(images)
        normalised = normalize(images, *Statistics(self.described.mean, self.described.std))
        evaluation = self.described.evaluation
        if evaluation.called:
            return classify(look(self._logits, normalised, evaluation), shown, shown, size or shown)
        logits, extent = self._logits(normalised)
        return classify(logits, extent, shown, size or shown)

    def _logits(self, images: Tensor) -> tuple[Tensor, Size]:
        """Logits of the patches of normalised images, and the size that they are taken to cover."""
        extent = covered(self.segmenter.backbone, size_of(images), self.described.protocol, self.blocks[0])
        return self.segmenter(images), extent


def save_segmenter(
    folder: Path, backbone: nn.Module, head: dict[str, Tensor], described: Described, **model_args: Any
) -> None:
    """Write backbone, the head's state dict and description; `model_args` are `save_model`'s."""
    save_model(backbone, folder, **model_args)
    fence = Fence.here()
    with fence.replacing(folder / HEAD) as file:
        save_file(head, file)
    fence.check()
    durable.write_json(folder / DESCRIPTION, {"format": FORMAT, **described.model_dump(mode="json")})


def load_segmenter(folder: str | Path) -> SegmentationModel:
    """The segmentation model in a folder that `segment` has left, `${jobs.NAME.outputs.model}`, on the CPU.

    Raises:
        WeightsError: the folder holds none, or its parts do not belong together.
    """
    folder = Path(folder)
    described = Described.read(folder)
    backbone, _ = load_backbone(folder)
    try:
        blocks = blocks_read(described.head, backbone)
        head = new_head(described.head, backbone, blocks, described.hidden_dim, len(described.classes))
    except ConfigError as error:
        raise WeightsError(f"{folder}: {error}") from error
    tensors = read_head(folder)
    try:
        head.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{folder / HEAD} is of another head than {DESCRIPTION} says: {reason}") from error
    return SegmentationModel(Segmenter(backbone, head, blocks).eval(), tuple(blocks), described)


def read_head(folder: Path) -> dict[str, Tensor]:
    """The weights of the head in a folder; WeightsError where they cannot be read."""
    try:
        return load_file(folder / HEAD)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / HEAD} cannot be read: {error}") from error


def take_head(head: nn.Module, init: Init, classes: Sequence[str]) -> bool:
    """Give a new head, on the CPU, the weights of that beside the backbone which `init` names; whether there is one.

    It stays new, which the log says, where that one is of another form or of other classes.
    """
    job, folder = job_weights(init.source), local_path(init.source)
    if job is not None:
        folder = JobFolder(job.folder).outputs if not job.at else None
    if folder is None or not (folder / DESCRIPTION).exists():
        return False
    tensors = read_head(folder)
    shapes = {name: value.shape for name, value in head.state_dict().items()}
    same = Described.read(folder).classes == tuple(classes)
    if not same or {name: value.shape for name, value in tensors.items()} != shapes:
        what = "another form" if same else "other classes"
        logger.warning("the head in %s is of %s and is not used: this one is new", folder, what)
        return False
    head.load_state_dict(tensors)
    logger.info("begins with the head in %s", folder)
    return True
