"""PASCAL Context (Mottaghi et al. 2014): VOC2010's images with the owners' trainval.tar.gz of 459 labels.

The benchmark counts the 59 most frequent of them; the others, as the background, are ignored.
"""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from locat.config.datasets import PascalContext
from locat.contract.errors import DataError
from locat.data.datasets.base import Split
from locat.data.datasets.masked_images import PHOTOS, MaskedImages, check_count, files, pair
from locat.data.intake.files import read
from locat.data.labels import IGNORED

COUNTS: dict[Split, int] = {"train": 4_998, "val": 5_105}
LABELS = 459

CLASSES = tuple(
    """aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building, bus, cabinet, car,
    cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence, floor, flower, food, grass, ground,
    horse, keyboard, light, motorbike, mountain, mouse, person, plate, platform, pottedplant, road, rock, sheep,
    shelves, sidewalk, sign, sky, snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window,
    wood""".replace("\n   ", "").split(", ")
)


def from_config(config: PascalContext) -> dict[Split, MaskedImages]:
    """As `pascal_context`."""
    return pascal_context(config.source, config.complete)


def pascal_context(source: Path, complete: bool = True) -> dict[Split, MaskedImages]:
    """Both splits of the folder with VOC2010/, labels.txt and trainval/.

    Raises:
        DataError: it is not laid out so, or, if it is to be `complete`, lacks images.
    """
    table = class_table(source / "labels.txt")
    images, masks = files(source / "VOC2010" / "JPEGImages", PHOTOS), files(source / "trainval", (".mat",))
    splits: dict[Split, MaskedImages] = {}
    for split in COUNTS:
        listed = source / "VOC2010" / "ImageSets" / "Main" / f"{split}.txt"
        names = read(listed).decode(errors="replace").split()
        for found, folder in ((images, source / "VOC2010" / "JPEGImages"), (masks, source / "trainval")):
            if missing := [name for name in names if name not in found]:
                raise DataError(f"{folder}: {missing[0]}, which {listed} lists, is missing; complete the download")
        pairs = tuple(pair(images[name], masks[name]) for name in sorted(names))
        if complete:
            check_count(pairs, COUNTS[split], listed)
        splits[split] = MaskedImages("PASCAL Context", CLASSES, pairs, read_mat, table)
    return splits


def class_table(path: Path) -> NDArray[np.uint8]:
    """The class of each label 0..459, by the names that labels.txt gives them in lines of `number: name`."""
    found = re.findall(r"^\s*(\d+)\s*:\s*(.+?)\s*$", read(path).decode(errors="replace"), re.MULTILINE)
    numbers = {name: int(number) for number, name in found}
    unknown = [name for name in CLASSES if not 1 <= numbers.get(name, 0) <= LABELS]
    if unknown:
        raise DataError(f"{path}: gives no label the name {unknown[0]!r}; expected the owners' list of {LABELS} labels")
    table = np.full(LABELS + 1, IGNORED, np.uint8)
    table[[numbers[name] for name in CLASSES]] = np.arange(len(CLASSES))
    return table


def read_mat(path: Path) -> NDArray[Any]:
    """The labels (H, W) in a MATLAB file.

    Raises:
        DataError: it is none, or damaged.
    """
    content = read(path)
    try:
        labels = loadmat(io.BytesIO(content))["LabelMap"]
        if labels.ndim == 2 and labels.dtype.kind == "u":
            return np.asarray(labels)
        found = f"LabelMap is {labels.dtype} of shape {labels.shape}"
    except MemoryError:
        raise  # the machine's fault
    except Exception as error:  # a damaged file can make scipy raise anything
        found = repr(error)
    raise DataError(f"{path}: not a MATLAB file with a map of labels ({found}); download it again")
