"""What prediction writes: masks, overlays and embeddings, each file whole or not at all."""

import errno
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from locat.contract import durable
from locat.contract.errors import ConfigError, JobError
from locat.contract.fence import Fence
from locat.contract.names import one_line_path
from locat.predict.model import Model
from locat.predict.pictures import Picture

LEGEND = "classes.json"
"""Beside masks and overlays: class and colour of each number."""
ROWS = 256
"""Of an overlay that are drawn at a time, in floats."""


@dataclass(frozen=True)
class Outputs:
    """Where each kind goes; None for what was not asked.

    Raises:
        ConfigError: two would go to one place.
    """

    masks: Path | None = None
    overlays: Path | None = None
    embeddings: Path | None = None
    """A .npz file."""

    def __post_init__(self) -> None:
        if self.masks and self.overlays and self.masks.resolve() == self.overlays.resolve():
            raise ConfigError("--masks and --overlays: their files have the same names; give two folders")
        if self.embeddings and self.embeddings.suffix != ".npz":
            raise ConfigError(f"--embeddings {self.embeddings}: is to end with .npz")

    @property
    def folders(self) -> tuple[Path, ...]:
        """Of masks and overlays."""
        return tuple(folder for folder in (self.masks, self.overlays) if folder)

    def refuse_clashes(self, pictures: Sequence[Picture]) -> None:
        """Raise ConfigError where two pictures would share a file, or one would be written over."""
        if not self.folders:
            return
        sources = {path.resolve() for path in {picture.path for picture in pictures}}
        for folder in self.folders:
            taken: dict[Path, str] = {}
            for picture in pictures:
                file = target(folder, picture)
                if file in taken:
                    raise ConfigError(
                        f"{one_line_path(taken[file])} and {one_line_path(picture.name)} would both become {file}; "
                        "predict them in two calls"
                    )
                if file.resolve() in sources:
                    raise ConfigError(f"{file} would be written over, and it is one of the images; name another folder")
                taken[file] = picture.name

    def begin(self, classes: Sequence[str]) -> None:
        """Make the folders, with the legend. Raises ConfigError where nothing can be written there."""
        place = self.embeddings
        try:
            for place in self.folders:
                durable.make_folder(place)
                durable.write_json(place / LEGEND, legend(classes))
            if self.embeddings is not None:
                place = self.embeddings
                durable.make_folder(place.parent)
                if place.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "is a folder")
                if not os.access(place.parent, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, "its folder is not yours to write to")
        except OSError as error:
            raise ConfigError(f"{place}: cannot be written ({error.strerror})") from error

    def write_pictures(self, picture: Picture, mask: NDArray[np.uint8], model: Model, upright: bool) -> dict[str, str]:
        """A PNG of the classes' numbers (H, W), with a palette, and one of their colours over the picture: the paths.

        The picture is decoded again: all those of a batch would take too much memory.
        """
        written, classes = {}, len(model.classes)
        if self.masks is not None:
            image = Image.fromarray(mask)
            image.putpalette(palette(classes).tobytes())
            written["mask"] = _write_png(target(self.masks, picture), image)
        if self.overlays is not None:
            pixels = np.asarray(picture.open(upright, model.brightness).image)
            drawn = Image.fromarray(overlay(pixels, mask, classes))
            written["overlay"] = _write_png(target(self.overlays, picture), drawn)
        return written

    def write_embeddings(self, rows: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
        """The file of names and embeddings, if it was asked for: `names` (n,) and `embeddings` float32 (n, dim)."""
        if self.embeddings is None or not rows:
            return
        names, embeddings = zip(*rows, strict=True)
        try:
            with Fence.here().replacing(self.embeddings) as temporary:
                with temporary.open("wb") as file:
                    np.savez(file, names=np.array(names), embeddings=np.stack(embeddings))
                durable.sync_file(temporary)
            durable.sync_folder(self.embeddings.parent)
        except OSError as error:
            raise JobError(f"{self.embeddings}: cannot be written ({error.strerror})") from error


def target(folder: Path, picture: Picture) -> Path:
    """Where the PNG about a picture goes below a folder."""
    place = folder / picture.place
    return place.with_name(f"{place.name}.png")


def palette(classes: int) -> NDArray[np.uint8]:
    """A colour for each of 256 labels, (256, 3), as a job's figures have them."""
    from locat.tasks.segmentation.figures import class_colours

    return (class_colours(classes) * 255).round().astype(np.uint8)


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8], classes: int) -> NDArray[np.uint8]:
    """The colours of a mask (H, W) over an image (H, W, 3) in grey, as in a job's figures."""
    from locat.tasks.segmentation.figures import blend, class_colours

    colours = class_colours(classes)
    drawn = np.empty_like(image)
    for first in range(0, len(mask), ROWS):
        rows = slice(first, first + ROWS)
        drawn[rows] = (blend(image[rows], colours[mask[rows]]) * 255).round()
    return drawn


def legend(classes: Sequence[str]) -> list[dict[str, str]]:
    """Class and colour by number."""
    colours = palette(len(classes))
    return [{"class": name, "colour": f"#{bytes(colours[number]).hex()}"} for number, name in enumerate(classes)]


def _write_png(path: Path, image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    try:
        durable.make_folder(path.parent)
        durable.write_bytes(path, content.getvalue())
    except OSError as error:
        raise JobError(f"{path}: cannot be written ({error.strerror})") from error
    return str(path)
