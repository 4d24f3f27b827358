"""Classifiers and backbones: labels and embeddings."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from PIL import Image
from timm.data import ImageNetInfo, create_transform, infer_imagenet_subset, resolve_data_config
from torch import Tensor

from locat.contract.errors import WeightsError
from locat.data.augment.normalise import normalize
from locat.data.intake.pictures import MOST_PIXELS, Undecodable
from locat.models.create import load_backbone
from locat.models.readout import Readout
from locat.predict.model import Answer, Answers, Model, Precision, Prepared, Size

ANSWERS: dict[str, Answers] = {"logits": "labels", "embeddings": "embeddings"}
"""What a model gives, by the output of `Readout` that says it."""


class Classifier(Model):
    """A timm model in a folder, with a classifier or without; config.json names its classes and its preprocessing."""

    def __init__(self, folder: Path, origin: str, device: str, precision: Precision) -> None:
        model, self.name = load_backbone(folder)
        self.model: Any = model.eval().requires_grad_(False)
        self.readout = Readout(self.model)
        self.gives = frozenset(ANSWERS[output] for output in self.readout.outputs)
        super().__init__(origin, classes_of(self.model, origin), device, precision)
        try:
            self._read_preprocessing()
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise WeightsError(f"{origin}: config.json does not say how images are prepared: {error!r}") from error
        self.model.to(self.device)

    def _read_preprocessing(self) -> None:
        expected = resolve_data_config(model=self.model, use_test_size=True)
        channels, *size = expected["input_size"]
        if channels != 3:
            raise WeightsError(f"{self.origin} holds a model of images with {channels} channels, and pictures have 3")
        self.size: Size = (size[0], size[1])
        """Of what the model sees."""
        self.shorter = math.floor(min(size) / expected["crop_pct"])
        """Into which a picture's shorter side is brought, before its middle is cut out."""
        self.mean, self.std = expected["mean"], expected["std"]
        self.cut = {key: expected[key] for key in ("input_size", "interpolation", "crop_pct", "crop_mode")}
        """How it is cut out, in timm's words."""
        self.transform: Any = create_transform(**self.cut, is_training=False, normalize=False)

    def prepare(self, image: Image.Image) -> Prepared:
        scale = self.shorter / min(image.size)
        if image.width * scale * image.height * scale > MOST_PIXELS:
            raise Undecodable(
                f"{image.width} x {image.height} pixels: too narrow for a shorter side of {self.shorter} pixels"
            )
        pixels: Tensor = self.transform(image)
        return Prepared(pixels, (pixels.shape[1], pixels.shape[2]))

    def _answer(self, images: Tensor, size: Size, wanted: Collection[Answers]) -> list[Answer]:
        read = dict(zip(self.readout.outputs, self.readout(normalize(images, self.mean, self.std)), strict=True))
        found: dict[str, Tensor] = {}
        if "labels" in wanted:
            found["probabilities"] = read["logits"].float().softmax(dim=1)
        if "embeddings" in wanted:
            found["embedding"] = read["embeddings"].float()
        rows = {key: value.cpu().numpy() for key, value in found.items()}
        return [Answer(**{key: values[row] for key, values in rows.items()}) for row in range(len(images))]

    def _kind(self) -> str:
        return f"{self.name}, a classifier" if self.classes else f"{self.name}, a backbone without a classifier"


def classes_of(model: Any, origin: str) -> tuple[str, ...]:
    """A classifier's classes by number: those that config.json names, ImageNet's by their number, else the numbers.

    Raises:
        WeightsError: config.json names another number of classes, or in another form.
    """
    count: int = model.num_classes
    about = model.pretrained_cfg
    names, descriptions = about.get("label_names") or [], about.get("label_descriptions") or {}
    if not count:
        return ()
    if not isinstance(names, list | dict) or not isinstance(descriptions, dict):
        raise WeightsError(f"{origin}: in config.json label_names is to be a list, and label_descriptions a mapping")
    if names:
        numbered = names if isinstance(names, dict) else dict(enumerate(names))
        found = [numbered.get(number, numbered.get(str(number))) for number in range(count)]
        if len(numbered) > count or any(not isinstance(name, str) for name in found):
            raise WeightsError(f"{origin}: config.json names {len(numbered)} classes, and the model has {count}")
        return tuple(str(descriptions.get(name, name)) for name in found)
    if (subset := infer_imagenet_subset(model)) is not None:
        return tuple(ImageNetInfo(subset).label_descriptions())
    return tuple(map(str, range(count)))
