"""Small image files of every kind that a dataset may hold."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Smooth random colours."""
    cells = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The content of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(seed: int = 0, width: int = 40, height: int = 30) -> bytes:
    return encoded(picture(width, height, seed), quality=90)


def write_jpeg(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(seed))
    return path


def write_tree(root: Path, classes: list[str], images: int = 2) -> Path:
    """`images` JPEGs in a folder per class."""
    for number, name in enumerate(classes):
        for image in range(images):
            write_jpeg(root / name / f"{name}_{image}.JPEG", number * images + image)
    return root
