"""Whether a written program says of photographs what the model says."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from locat.contract.errors import ConfigError, JobError
from locat.contract.names import one_line_path
from locat.data.augment.normalise import normalize
from locat.export import formats
from locat.export.program import LEAST, Program
from locat.predict.model import Size


class Difference(NamedTuple):
    """Between a program and its model, of one output for one batch."""

    images: list[int]
    """The batch's shape."""
    output: str
    difference: float
    """The largest of all numbers."""
    largest: float
    """The largest magnitude that the model gives."""

    def exceeds(self, tolerance: float) -> bool:
        return not self.difference <= tolerance * max(1.0, self.largest)


class Check:
    """The model's answers for photographs at two sizes, or of one size for two numbers of them.

    They are computed when this is made, by the kernels that `locat.Model` uses: tracing leaves its marks on a model.

    Raises:
        ConfigError: the model does not take that size, or gives nothing.
        JobError: its answers are not finite.
    """

    def __init__(self, program: Program) -> None:
        self.outputs = program.outputs
        self.images = [taken(program, photographs(count, size)) for count, size in batches(program)]
        try:
            with torch.no_grad():
                self.expected = [list(program.module(batch)) for batch in self.images]
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError, ValueError) as error:
            height, width = program.size
            raise ConfigError(f"size {height} x {width}: the model does not take it: {error}") from error
        if any(not each.numel() for batch in self.expected for each in batch):
            raise ConfigError("the model has no classifier and gives nothing else; there is nothing to export")
        if any(not each.isfinite().all() for batch in self.expected for each in batch):
            raise JobError("the model's answers are not finite; its weights are damaged")

    def differences(self, file: Path) -> list[Difference]:
        """Those of the program in a file. Raises JobError where it cannot be run."""
        try:
            answers = formats.answers(file, self.images)
        except Exception as error:  # each runtime has its own
            raise JobError(f"{file.name}: cannot be run: {one_line_path(error)}; nothing is left") from error
        return [
            Difference(list(images.shape), output, difference(one, other), other.abs().max().item())
            for images, found, expected in zip(self.images, answers, self.expected, strict=True)
            for output, one, other in zip(self.outputs, found, expected, strict=True)
        ]


def batches(program: Program) -> Sequence[tuple[int, Size]]:
    """How many photographs of which size."""
    height, width = program.size
    if program.step is None:
        return (2, program.size), (1, program.size)
    step = program.step
    narrow = max(LEAST, width // step // 2) * step
    return (2, program.size), (3, (height + step, narrow)), (1, (LEAST * step, width + step))


def photographs(count: int, size: Size) -> Tensor:
    """Of scikit-learn's two and their mirror images the first ones, resized: uint8 (count, 3, *size)."""
    from sklearn.datasets import load_sample_images

    height, width = size
    whole = [Image.fromarray(each) for each in load_sample_images().images]
    whole += [each.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for each in whole]
    shown = [np.asarray(each.resize((width, height), Image.Resampling.BICUBIC)) for each in whole[:count]]
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).contiguous()


def taken(program: Program, images: Tensor) -> Tensor:
    """Pixels as the program takes them."""
    return images if program.takes_pixels else normalize(images, program.mean, program.std)


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest of all numbers; infinite for another shape, or what is no number."""
    if found.shape != expected.shape or not found.isfinite().all():
        return float("inf")
    return (found - expected).abs().max().item()
