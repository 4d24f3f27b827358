"""What `segment` has left: masks."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from locat.data.intake.brightness import Brightness
from locat.data.joint import keep_ratio, resize_image
from locat.data.segmentation import MOST_PIXELS
from locat.predict.model import Answer, Answers, Model, Precision, Prepared, Size
from locat.tasks.segmentation.saved import load_segmenter


class SegmentationPredictor(Model):
    """Backbone and head in a folder; a picture is resized and looked at as the job's evaluation images were."""

    gives = frozenset[Answers]({"masks"})

    def __init__(self, folder: Path, origin: str, device: str, precision: Precision) -> None:
        self.model = load_segmenter(folder)
        super().__init__(origin, self.model.classes, device, precision)
        self.brightness = Brightness.of(self.model.described.brightness)
        self.model.segmenter.requires_grad_(False).to(self.device)

    def prepare(self, image: Image.Image) -> Prepared:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        size = image.height, image.width
        described = self.model.described
        if described.resize is not None:
            into = keep_ratio(size, described.resize)
            pixels = resize_image(pixels, into, antialias=described.protocol == "exact")
        return Prepared(pixels, size)

    def most(self, like: Prepared) -> int:
        """As in the evaluation: one where there are logits of all pixels, else so many that masks stay in bounds."""
        return 1 if self.model.described.evaluation.called else max(1, MOST_PIXELS // (like.size[0] * like.size[1]))

    def _answer(self, images: Tensor, size: Size, wanted: Collection[Answers]) -> list[Answer]:
        return [Answer(mask=mask) for mask in self.model.predict(images, size).cpu().numpy()]

    def _kind(self) -> str:
        return "a segmentation model"
