"""Images and masks of the user's own: the same paths below two folders, but for the endings."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from locat.config.mask_classes import MaskClasses, number_classes, read_list, shown
from locat.config.mask_folder import HeldOut, MaskedSplit, MaskFolder
from locat.contract.errors import DataError
from locat.contract.names import one_line, one_line_path
from locat.data.datasets.base import Split
from locat.data.datasets.image_folder import EXTENSIONS, listed
from locat.data.datasets.masked_images import INVALID, MaskedImages, Pair, pair
from locat.data.intake import own_masks
from locat.data.intake.brightness import Brightness
from locat.data.intake.files import is_folder, read
from locat.data.intake.folders import File, files_below
from locat.data.labels import IGNORED

COLOURS = 1 << 24


@dataclass(frozen=True)
class OwnMaskedImages(MaskedImages):
    """A split of the user's own, whose mistakes are the user's to mend."""

    again: ClassVar[str] = ""

    classes: MaskClasses
    brightness: Brightness | None
    """Of images with more than 8 bits or floating point numbers; None: the upper 8 bits, or refused."""

    @property
    def options(self) -> dict[str, Any]:
        if self.brightness is None:
            return {}
        return {"percentiles" if self.brightness.percentiles else "range": list(self.brightness.limits)}

    def image(self, path: Path) -> bytes:
        content = read(path)
        return content if self.brightness is None else self.brightness.to_eight_bits(content, path)

    def unknown(self, path: Path, label: int, pixels: int) -> DataError:
        found = f"the {'colour' if self.classes.coloured else 'number'} {shown(label, self.classes.coloured)}"
        return DataError(
            f"{one_line_path(path)}: {pixels} of its pixels have {found}, which no class has; add it to `classes` or "
            "`ignore`"
        )


def from_config(config: MaskFolder) -> dict[Split, MaskedImages]:
    """Both splits, paired and listed.

    Raises:
        DataError: a folder is missing, or holds what has no partner; the file of the classes is none.
    """
    classes = classes_of(config)
    table = table_of(classes)
    limits = config.range or config.percentiles
    brightness = None if limits is None else Brightness(limits, percentiles=config.percentiles is not None)

    def split(pairs: tuple[Pair, ...]) -> MaskedImages:
        read_labels = own_masks.read_colours if classes.coloured else own_masks.read_numbers
        return OwnMaskedImages(config.title, classes.names, pairs, read_labels, table, classes, brightness)

    train = pair_up(config.train, config.val)
    if config.val is not None:
        return {"train": split(train), "val": split(pair_up(config.val, config.train))}
    assert config.split is not None
    rest, held_out = hold_out(train, config.split, config.train.images)
    return {"train": split(rest), "val": split(held_out)}


def classes_of(config: MaskFolder) -> MaskClasses:
    """The classes, which may be listed in a file.

    Raises:
        DataError: that is missing, or holds no classes.
    """
    if not isinstance(config.classes, Path):
        return number_classes(config.classes, config.ignore, config.reduce_zero_label)
    try:
        content = read(config.classes).decode("utf-8-sig")
        return number_classes(read_list(content), config.ignore, config.reduce_zero_label)
    except UnicodeDecodeError as error:
        raise DataError(f"{one_line_path(config.classes)}: is not text in UTF-8; save it as such") from error
    except ValueError as error:
        raise DataError(f"{one_line_path(config.classes)}: {error}") from error


def table_of(classes: MaskClasses) -> NDArray[np.uint8]:
    """The class of each number or colour, as `MaskedImages` takes it."""
    size = COLOURS if classes.coloured else max(*classes.labels, *classes.ignored, 0) + 1
    table = np.full(size, INVALID, np.uint8)
    table[list(classes.ignored)] = IGNORED
    table[list(classes.labels)] = list(classes.labels.values())
    return table


def pair_up(folders: MaskedSplit, other: MaskedSplit | None = None) -> tuple[Pair, ...]:
    """Every image with the mask of its path, in the order of the images' paths, whatever the file system's is.

    Raises:
        DataError: a folder is missing, holds nothing, or lies in the other one; files have no partner, or several.
    """
    images, masks = (Path(os.path.realpath(folder)) for folder in (folders.images, folders.masks))
    if images.is_relative_to(masks) or masks.is_relative_to(images):
        raise DataError(
            f"{one_line_path(folders.masks)}: lies in the folder of the images, or holds it; give images and masks a "
            "folder each"
        )
    of_images = by_stem(folders.images, EXTENSIONS, "images", other.images if other else None)
    of_masks = by_stem(folders.masks, own_masks.ENDINGS, "masks", other.masks if other else None)
    alone = [
        f"{len(names)} {what} ({listed(names)})"
        for one, two, what in (
            (of_images, of_masks, "images have no mask"),
            (of_masks, of_images, "masks have no image"),
        )
        if (names := {one[stem].name for stem in one.keys() - two.keys()})
    ]
    if alone:
        both = f"{one_line_path(folders.images)} and {one_line_path(folders.masks)}"
        raise DataError(f"{both}: {' and '.join(alone)}; an image and its mask have one path, but for the ending")
    pairs = (pair(of_images[stem], of_masks[stem]) for stem in of_images)
    return tuple(sorted(pairs, key=lambda found: os.fsencode(found.name)))


def by_stem(root: Path, endings: Sequence[str], what: str, other: Path | None = None) -> dict[str, File]:
    """The files below a folder by their paths without the ending.

    Raises:
        DataError: there are none, or two have one path.
    """
    if not is_folder(root):
        raise DataError(f"{one_line_path(root)}: no such folder; expected one of {what}")
    listing = files_below(root, endings, other)
    listing.tell()
    found: dict[str, File] = {}
    for file in sorted(listing.files):
        stem = os.path.splitext(file.name)[0]
        if stem in found:
            both = f"{one_line(found[stem].name)} and {one_line(file.name)}"
            raise DataError(f"{one_line_path(root)}: {both} differ in their endings alone; keep one of them")
        found[stem] = file
    if not found:
        raise DataError(f"{one_line_path(root)}: holds no {what} ({' '.join(endings)}); is it the right folder?")
    return found


def hold_out(pairs: Sequence[Pair], split: HeldOut, where: Path) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """What is left to train on, and the pairs that are evaluated on instead: those whose digests are smallest.

    A pair's digest is of its path without the ending and the seed, so that a file more moves few others.

    Raises:
        DataError: there is only one pair.
    """
    if len(pairs) < 2:
        raise DataError(f"{one_line_path(where)}: one image cannot be split; add more, or name a folder under `val`")

    def digest(one: Pair) -> bytes:
        stem = os.path.splitext(one.name)[0]
        return hashlib.sha256(f"{split.seed}\0".encode() + os.fsencode(stem)).digest()

    count = min(max(1, round(split.val * len(pairs))), len(pairs) - 1)
    chosen = {one.name for one in sorted(pairs, key=digest)[:count]}
    return tuple(one for one in pairs if one.name not in chosen), tuple(one for one in pairs if one.name in chosen)
