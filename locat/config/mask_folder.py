"""Images and masks of the user's own, in folders."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from locat.config.base import Float, Int, Schema
from locat.config.mask_classes import label_of, number_classes
from locat.config.source import Source
from locat.contract.names import one_line
from locat.contract.problems import shown


def _known_form(value: Any) -> Any:
    """What `classes` may be; else one sentence, where the union would give one per member."""
    if isinstance(value, list | dict):
        for name in value.values() if isinstance(value, dict) else value:
            if not isinstance(name, str):
                raise ValueError(f"expected names, got {shown(name)}; quote what is a name")
    if isinstance(value, Path) or (isinstance(value, str | list | dict) and value):
        return value
    raise ValueError(
        f"expected a list of names, a mapping from numbers or colours to names, or a path, got {shown(value)}"
    )


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _checked_label(value: str) -> str:
    label_of(value)
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError(f"expected the darker number first, got {list(value)}")
    return value


Label = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked_label)]
Percent = Annotated[Float, Field(ge=0, le=100)]


class MaskedSplit(Schema):
    """Two folders with the same files in them, but for the endings; folders in them are searched too."""

    images: Path
    """Folder of the images: what `image_folder` takes, of any size."""
    masks: Path
    """Folder of the masks: PNG, TIFF or BMP, each of the size of its image and with its path but for the ending."""


class HeldOut(Schema):
    """A part of the training pairs that is evaluated on instead; which ones depends on their names and `seed` alone."""

    val: Annotated[Float, Field(gt=0, lt=1)] = 0.1
    """Share of the pairs."""
    seed: Int = 0


class MaskFolder(Source):
    """Images and masks of your own, paired by their paths below two folders (docs/own-masks.md)."""

    reader: ClassVar[str] = "locat.data.datasets.mask_folder:from_config"
    all_classes: ClassVar[bool] = True

    name: Literal["mask_folder"]
    train: MaskedSplit
    """What is trained on."""
    val: MaskedSplit | None = None
    """What is evaluated on; or else `split` takes a part of `train`."""
    split: HeldOut | None = None
    """Takes a part of `train` to evaluate on, where there is no `val`."""
    classes: Annotated[list[str] | dict[str, str] | Path, BeforeValidator(_known_form)]
    """Names: a list, numbered from 0 on; a mapping from numbers (`0: road`) or colours (`'#ff8000': road`) in the
    masks; or a text file with one of these per line. Two numbers or colours with one name are one class."""
    ignore: list[Label] = []
    """Numbers or colours of pixels that do not count. 255 is one wherever it is no class."""
    reduce_zero_label: bool = False
    """Whether 0 in the masks is ignored and a list of names begins at 1."""
    range: Annotated[tuple[Float, Float], AfterValidator(_rising)] | None = None
    """Numbers that become black and white in images of more than 8 bits and of floating point numbers. By default the
    upper 8 bits are taken, and floating point numbers are refused."""
    percentiles: Annotated[tuple[Percent, Percent], AfterValidator(_rising)] | None = None
    """The same by percentiles of each image's own numbers, such as `[1, 99]`."""
    label: Annotated[str, Field(min_length=1)] | None = None
    """What tables and reports call the dataset; by default the folder's name: `roads` of /data/roads/train/images."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.val is None) == (self.split is None):
            wrong = (
                "are both there; remove one" if self.val else "are both missing; give one, such as split: {val: 0.1}"
            )
            raise ValueError(f"`val` and `split` {wrong}")
        if self.range is not None and self.percentiles is not None:
            raise ValueError("`range` and `percentiles` are both there; remove one")
        if not isinstance(self.classes, Path):
            number_classes(self.classes, self.ignore, self.reduce_zero_label)
        return self

    @property
    def title(self) -> str:
        """What people call the dataset."""
        folder = self.train.images
        while folder.name.lower() in ("images", "image", "imgs", "img", "train", "training"):
            folder = folder.parent
        return one_line(self.label or folder.name or "mask folder", longest=250)
