"""`locat.Model`: a trained model that takes pictures as they are, whatever their size."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from locat.config.weights import repository, whole_model
from locat.contract.errors import ConfigError, DataError, WeightsError
from locat.data.intake.brightness import Brightness
from locat.data.intake.pictures import Undecodable, to_rgb
from locat.engine.precision import autocast
from locat.predict.pictures import FilePicture
from locat.tasks.segmentation.saved import DESCRIPTION, HEAD
from locat.weights.hub import model_folder

Answers = Literal["labels", "embeddings", "masks"]
"""What a model may be asked for."""
Size = tuple[int, int]
"""Height and width in pixels."""
PictureLike = str | PathLike[str] | Image.Image | NDArray[np.uint8]
"""A file, a PIL image, or RGB pixels (H, W, 3)."""
Precision = Literal["fp32", "bf16"]
"""Of matrix products."""
Item = TypeVar("Item")
BATCH_SIZE = 32


class Prepared(NamedTuple):
    """A picture as a model sees it, but for the normalisation."""

    pixels: Tensor
    """uint8 (3, h, w)."""
    size: Size
    """That the answer has: of a mask the picture's own, of others that of `pixels`."""


class Answer(NamedTuple):
    """What a model says of a picture; None for what it was not asked."""

    probabilities: NDArray[np.float32] | None = None
    """Of the classes, (classes,); they add up to 1."""
    embedding: NDArray[np.float32] | None = None
    """(dim,)."""
    mask: NDArray[np.uint8] | None = None
    """The class of each pixel of the picture, (H, W)."""


class Model(ABC):
    """A trained model: `Model.from_folder(...)`, then `classify`, `embed` or `segment`.

    Pictures are resized, cropped and normalised as for the evaluation of the model in training. Those of one call may
    have any sizes. EXIF's orientation is not applied to files, as it is not in training.
    """

    gives: frozenset[Answers]
    """What it can be asked for."""

    origin: str
    """For people: where it comes from."""
    classes: tuple[str, ...]
    """By their numbers; empty for a model without a classifier."""
    device: torch.device
    brightness: Brightness | None = None
    """Which numbers were black and white in training, in images of more than 8 bits; None: as their format says."""

    def __init__(self, origin: str, classes: tuple[str, ...], device: str, precision: Precision) -> None:
        self.origin, self.classes = origin, classes
        self.device, self.precision = usable(device), precision

    @staticmethod
    def from_folder(folder: str | PathLike[str], *, device: str = "cpu", precision: Precision = "fp32") -> "Model":
        """The model that a job has left in `folder`, its outputs/: of `supervised`, `dino` or `segment`.

        Any folder with model.safetensors and timm's config.json holds one.

        Args:
            folder: where it lies.
            device: such as cpu, cuda or cuda:1; `auto` is the first GPU, or the CPU where there is none.
            precision: of matrix products; bf16 halves memory and, on a GPU, time.

        Raises:
            WeightsError: the folder holds no model, or a damaged one.
            ConfigError: there is no such device.
        """
        return _opened(Path(folder), str(folder), device, precision)

    @staticmethod
    def from_source(source: str | Path, *, device: str = "cpu", precision: Precision = "fp32") -> "Model":
        """The same of a folder, or hf-hub:OWNER/NAME, perhaps with @REVISION: timm's models, or what a job has left.

        Raises:
            WeightsError, ConfigError: as `from_folder`, or there is no such repository.
            JobError: the Hub cannot be reached.
        """
        try:
            found = whole_model(source)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if isinstance(found, Path):
            return Model.from_folder(found, device=device, precision=precision)
        name = repository(found)
        assert name is not None, "what is no folder is on the Hub"
        return _opened(model_folder(name, (DESCRIPTION, HEAD)), found, device, precision)

    def classify(self, images: Iterable[PictureLike]) -> Tensor:
        """Probabilities of the classes, float32 (n, classes) on the CPU.

        Raises:
            ConfigError: the model has no classifier.
            DataError: a picture cannot be read.
        """
        return _stacked(answer.probabilities for answer in self._answers(images, "labels"))

    def embed(self, images: Iterable[PictureLike]) -> Tensor:
        """What the classifier would read, float32 (n, dim) on the CPU: of a ViT usually [CLS] after the final norm.

        Raises:
            ConfigError: the model is one for segmentation, or a classifier that says nothing but its logits.
            DataError: a picture cannot be read.
        """
        return _stacked(answer.embedding for answer in self._answers(images, "embeddings"))

    def segment(self, images: Iterable[PictureLike]) -> list[NDArray[np.uint8]]:
        """The class of each pixel of each picture, by number, (H, W).

        Raises:
            ConfigError: the model is not one for segmentation.
            DataError: a picture cannot be read.
        """
        return [answer.mask for answer in self._answers(images, "masks") if answer.mask is not None]

    def refuse_unable(self, wanted: Collection[Answers]) -> None:
        """Raise ConfigError where the model cannot be asked for all of `wanted`."""
        for each in sorted(wanted):
            if each not in self.gives:
                gives = " and ".join(sorted(self.gives))
                raise ConfigError(f"{self.origin} holds {self._kind()}: it gives no {each}, but {gives}")

    @abstractmethod
    def prepare(self, image: Image.Image) -> Prepared:
        """An RGB image as the model sees it; called in several threads.

        Raises Undecodable where it cannot be brought to that size.
        """

    def most(self, like: Prepared) -> int | None:
        """How many pictures like this one the model is to see at once, at most."""
        return None

    def answer(self, prepared: Sequence[Prepared], wanted: Collection[Answers]) -> list[Answer]:
        """What the model says of pictures whose `pixels` and `size` are alike."""
        with torch.no_grad(), autocast(self.precision, self.device):
            return self._answer(
                torch.stack([each.pixels for each in prepared]).to(self.device), prepared[0].size, wanted
            )

    @abstractmethod
    def _answer(self, images: Tensor, size: Size, wanted: Collection[Answers]) -> list[Answer]: ...

    @abstractmethod
    def _kind(self) -> str:
        """For people: what it is."""

    def batches(
        self, items: Iterable[Item], seen: Callable[[Item], Prepared | None], most: int
    ) -> Iterator[list[Item]]:
        """Items in their order, those in a row that the model sees at once together: `most` at most, of one size.

        `seen` gives what it sees of an item; items of which that is nothing go with any.
        """
        batch: list[Item] = []
        first: Prepared | None = None
        count = 0
        for item in items:
            if (prepared := seen(item)) is not None:
                full = count >= min(most, self.most(prepared) or most)
                if first is not None and (full or not alike(first, prepared)):
                    yield batch
                    batch, first, count = [], None, 0
                first, count = first or prepared, count + 1
            batch.append(item)
        if batch:
            yield batch

    def _answers(self, images: Iterable[PictureLike], wanted: Answers) -> Iterator[Answer]:
        self.refuse_unable((wanted,))
        prepared = (self._prepare_given(image, number) for number, image in enumerate(images))
        for batch in self.batches(prepared, lambda each: each, BATCH_SIZE):
            yield from self.answer(batch, (wanted,))

    def _rgb(self, image: PictureLike) -> Image.Image:
        """A picture that a caller gives as 8-bit RGB; Undecodable or DataError where it is none."""
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise Undecodable(f"{image.dtype} {image.shape}; pixels are uint8 (H, W, 3)")
            return Image.fromarray(image)
        if isinstance(image, Image.Image):
            return to_rgb(image).image
        return FilePicture.at(Path(image)).open(upright=False, brightness=self.brightness).image

    def _prepare_given(self, image: PictureLike, number: int) -> Prepared:
        """A picture that a caller gives; DataError where it is none."""
        try:
            return self.prepare(self._rgb(image))
        except (Undecodable, OSError) as error:  # Pillow decodes an image of the caller's here at the earliest
            what = f"image {number}" if isinstance(image, np.ndarray | Image.Image) else str(image)
            raise DataError(f"{what}: {error}") from error


def alike(one: Prepared, other: Prepared) -> bool:
    """Whether the model can be asked of both at once."""
    return one.pixels.shape == other.pixels.shape and one.size == other.size


def usable(device: str) -> torch.device:
    """The device of that name; `auto`: the first GPU, or else the CPU. ConfigError where there is none."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r}: there is no such kind; write auto, cpu, cuda or cuda:NUMBER") from error
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"device {device!r}: this machine has no such device that torch can use; write auto or cpu")
    return found


def _opened(folder: Path, origin: str, device: str, precision: Precision) -> Model:
    if not folder.is_dir():
        raise WeightsError(f"{origin}: no such folder")
    if not (folder / "config.json").exists() and (folder / "outputs" / "config.json").exists():
        raise WeightsError(f"{origin} is a job's folder, and its model lies in {folder / 'outputs'}")
    if (folder / DESCRIPTION).exists():
        from locat.predict.segmentation import SegmentationPredictor

        return SegmentationPredictor(folder, origin, device, precision)
    if not (folder / "config.json").exists() and (folder / HEAD).exists():
        raise WeightsError(
            f"{origin} holds a head without its backbone, as `linear` leaves it; a model to predict with is whole"
        )
    from locat.predict.classification import Classifier

    return Classifier(folder, origin, device, precision)


def _stacked(found: Iterable[NDArray[np.float32] | None]) -> Tensor:
    rows = [each for each in found if each is not None]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, 0)
