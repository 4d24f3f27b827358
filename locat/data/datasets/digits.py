"""scikit-learn's handwritten digits, composed into coloured scenes with exact masks.

A scene is one of the 1,797 digits (8x8 pixels), enlarged to a random size, tinted with a random
colour and put at a random place over a smooth random background.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from locat.config.datasets import DigitsScenes
from locat.data.datasets.base import Contents, Sample, Split

CLASSES = tuple("0123456789")
BACKGROUND = len(CLASSES)
MASK_CLASSES = (*CLASSES, "background")

COMPOSITION = 2
"""Raise when the same arguments make other pixels: files written before are then made anew."""

BACKGROUND_CELLS = 4  # random colours along each side of the background, interpolated between
BACKGROUND_LEVELS = (0.0, 140.0)  # of each channel of these colours, of 255
DIGIT_LEVELS = (120.0, 255.0)  # of each channel of the digit's colour: brighter on the whole, not everywhere
NOISE = 8.0  # standard deviation of each channel of each pixel, of 255
INK = 0.45  # least share of ink with which a pixel belongs to the digit


def digits(config: DigitsScenes) -> dict[Split, "DigitScenes"]:
    """Both splits."""
    counts: dict[Split, int] = {"train": config.train_scenes, "val": config.val_scenes}
    return {
        split: DigitScenes(split, count, config.image_size, config.seed, config.coloured, config.digit_size)
        for split, count in counts.items()
    }


class DigitScenes:
    """`count` scenes of a split; scene `i` depends on (`seed`, `split`, `i`) alone.

    Train and val scenes never share a source digit, whatever their seeds.
    """

    def __init__(
        self,
        split: Split,
        count: int,
        image_size: int = 64,
        seed: int = 0,
        coloured: bool = True,
        digit_size: tuple[float, float] = (0.3125, 0.6875),
    ) -> None:
        self.split, self.count, self.image_size, self.seed = split, count, image_size, seed
        self.coloured, self.digit_size = coloured, digit_size
        self.sources = source_digits(split)
        digits = load_digits()
        self._digits = digits.images / 16.0
        self._labels = digits.target

    @property
    def contents(self) -> Contents:
        """What a file of these scenes holds."""
        return Contents(
            samples=self.count,
            classes=CLASSES,
            mask_classes=MASK_CLASSES,
            image_size=self.image_size,
            source="scikit-learn digits",
            seed=self.seed,
            options={
                "split": self.split,
                "composition": COMPOSITION,
                "coloured": self.coloured,
                "digit_size": list(self.digit_size),
            },
        )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Image uint8 (H, W, 3), label, mask uint8 (H, W) of classes 0..9 and 10 for background."""
        keys = (self.seed, ("train", "val").index(self.split), int(index))
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([key % 2**64 for key in keys])))
        source = random.choice(self.sources)
        label = int(self._labels[source])
        ink = self._place(self._digits[source], random)[..., None]
        if self.coloured:
            colour = random.uniform(*DIGIT_LEVELS, 3)
            scene = self._backdrop(random) * (1 - ink) + colour * ink
        else:
            scene = 255 * ink * np.ones(3)
        scene += random.normal(0, NOISE, scene.shape)
        image = np.clip(scene + 0.5, 0, 255).astype(np.uint8)
        mask = np.where(ink[..., 0] >= INK, label, BACKGROUND).astype(np.uint8)
        return Sample(image, label, mask)

    def name(self, index: int) -> str:
        return f"scene {index}"

    def _place(self, digit: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
        """Share of ink in each pixel of the scene (H, W), 0..1."""
        size = int(self.image_size * random.uniform(*self.digit_size))
        top, left = random.integers(0, self.image_size - size + 1, 2)
        weights = bilinear(len(digit), size)
        ink = np.zeros((self.image_size, self.image_size))
        ink[top : top + size, left : left + size] = weights @ digit @ weights.T
        return ink

    def _backdrop(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Smooth colours (H, W, 3), 0..255."""
        weights = bilinear(BACKGROUND_CELLS, self.image_size)
        cells = random.uniform(*BACKGROUND_LEVELS, (3, BACKGROUND_CELLS, BACKGROUND_CELLS))
        return (weights @ cells @ weights.T).transpose(1, 2, 0)


def source_digits(split: Split) -> NDArray[np.int64]:
    """Indices of the source digits of a split: four fifths of each class are for training."""
    labels: NDArray[Any] = load_digits().target
    train, val = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
    return np.sort({"train": train, "val": val}[split])


@cache
def bilinear(source: int, target: int) -> NDArray[np.float64]:
    """Weights (target, source) that stretch `source` values to `target` ones, linear in between."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(source)))
    return weights
