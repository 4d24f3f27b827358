"""Datasets as their owners distribute them, and how they become .beton files."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Field, create_model

from locat.config.base import Fraction, Int, JobConfig, PositiveFloat, PositiveInt
from locat.config.cost import Costs
from locat.config.mask_folder import MaskFolder
from locat.config.source import Source as Source  # plugins import it from here
from locat.contract.names import one_line
from locat.contract.plugins import Registry, subclass_of


class DigitsScenes(Source):
    """scikit-learn's handwritten digits composed into coloured scenes (locat/data/datasets/digits.py)."""

    reader: ClassVar[str] = "locat.data.datasets.digits:digits"

    name: Literal["digits"] = "digits"
    train_scenes: PositiveInt = 12_000
    val_scenes: PositiveInt = 2_000
    image_size: Annotated[Int, Field(ge=32, le=512)] = 64
    """Height and width of a scene in pixels."""
    seed: Int = 0
    """Which scenes are composed; the training seed does not change them."""
    coloured: bool = True
    """False: white digits on black, in which nothing but the digit tells two scenes apart."""
    digit_size: tuple[Fraction, Fraction] = (0.3125, 0.6875)
    """Smallest and largest digit, as a part of the scene's side."""

    def images(self) -> tuple[float, float]:
        return self.train_scenes, self.val_scenes

    def stored_bytes(self) -> float:
        """Three channels and the mask."""
        return 4 * self.image_size**2 * sum(self.images())


class ImageFolder(Source):
    """Any two folders with one folder of images per class; classes are numbered in the order of their names."""

    reader: ClassVar[str] = "locat.data.datasets.image_folder:from_config"

    name: Literal["image_folder"]
    train: Path
    """Folder of the training images."""
    val: Path
    """Folder of the evaluation images; its classes must be those of `train`."""
    label: Annotated[str, Field(min_length=1)] | None = None
    """What tables and reports call the dataset; by default the folder's name: `flowers` of /data/flowers/train."""

    @property
    def title(self) -> str:
        """What people call the dataset."""
        folder = self.train.parent if self.train.name.lower() in ("train", "training") else self.train
        return one_line(self.label or folder.name or "image folder", longest=250)


class ImageNet(Source):
    """ImageNet-1K (ILSVRC2012): a folder with `train/` and `val/` trees, or with the tars of both and the devkit's."""

    reader: ClassVar[str] = "locat.data.datasets.imagenet:from_config"
    counts: ClassVar[tuple[int, int] | None] = (1_281_167, 50_000)
    image_bytes: ClassVar[int] = 115_000

    name: Literal["imagenet"]
    source: Path
    """Holds train/WNID/*.JPEG and val/WNID/*.JPEG, or ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and
    ILSVRC2012_devkit_t12.tar.gz."""


class MiniImageNet(Source):
    """mini-ImageNet: all 100 classes of its three csv splits, 500 training and 100 evaluation images each."""

    reader: ClassVar[str] = "locat.data.datasets.mini_imagenet:from_config"
    counts: ClassVar[tuple[int, int] | None] = (50_000, 10_000)
    image_bytes: ClassVar[int] = 50_000

    name: Literal["mini_imagenet"]
    source: Path
    """Holds images/*.jpg and train.csv, val.csv, test.csv with the columns filename and label."""


class Cifar100(Source):
    """CIFAR-100, its Python version: 50,000 training and 10,000 evaluation images of 32 x 32 pixels."""

    reader: ClassVar[str] = "locat.data.datasets.cifar100:from_config"
    counts: ClassVar[tuple[int, int] | None] = (50_000, 10_000)
    image_bytes: ClassVar[int] = 3_072

    name: Literal["cifar100"]
    source: Path
    """The folder cifar-100-python with its files train, test and meta, or cifar-100-python.tar.gz."""


class Ade20k(Source):
    """ADE20K (ADEChallengeData2016): 150 classes; label 0 is "other" and ignored."""

    reader: ClassVar[str] = "locat.data.datasets.ade20k:from_config"
    counts: ClassVar[tuple[int, int] | None] = (20_210, 2_000)
    image_bytes: ClassVar[int] = 45_000

    name: Literal["ade20k"]
    source: Path
    """The folder ADEChallengeData2016: images/ and annotations/, each with training/ and validation/."""
    complete: bool = True
    """Whether both splits must have their official number of images; false for a part of the dataset."""


class PascalContext(Source):
    """PASCAL Context: VOC2010 with the trainval annotations of 459 labels, of which 59 are classes."""

    reader: ClassVar[str] = "locat.data.datasets.pascal_context:from_config"
    counts: ClassVar[tuple[int, int] | None] = (4_998, 5_105)
    image_bytes: ClassVar[int] = 120_000

    name: Literal["pascal_context"]
    source: Path
    """Holds VOC2010/ (JPEGImages and ImageSets) and the annotations' labels.txt and trainval/*.mat."""
    complete: bool = True
    """Whether both splits must have their official number of images; false for a part of the dataset."""


class CocoStuff(Source):
    """COCO-Stuff 164k: 171 classes of things and stuff."""

    reader: ClassVar[str] = "locat.data.datasets.coco_stuff:from_config"
    counts: ClassVar[tuple[int, int] | None] = (118_287, 5_000)
    image_bytes: ClassVar[int] = 175_000

    name: Literal["coco_stuff"]
    source: Path
    """Holds train2017/ and val2017/ with the images, and stuffthingmaps/ with the same two of PNGs."""
    complete: bool = True
    """Whether both splits must have their official number of images; false for a part of the dataset."""


DATASETS = Registry(
    "locat.datasets",
    {
        "digits": f"{__name__}:DigitsScenes",
        "image_folder": f"{__name__}:ImageFolder",
        "mask_folder": "locat.config.mask_folder:MaskFolder",
        "imagenet": f"{__name__}:ImageNet",
        "mini_imagenet": f"{__name__}:MiniImageNet",
        "cifar100": f"{__name__}:Cifar100",
        "ade20k": f"{__name__}:Ade20k",
        "pascal_context": f"{__name__}:PascalContext",
        "coco_stuff": f"{__name__}:CocoStuff",
    },
    subclass_of(Source, "reader"),
)
Dataset = Annotated[
    DigitsScenes | ImageFolder | MaskFolder | ImageNet | MiniImageNet | Cifar100 | Ade20k | PascalContext | CocoStuff,
    Field(discriminator="name"),
]


class ConvertConfig(JobConfig):
    """Write a dataset as .beton files with FFCV."""

    entry: ClassVar[str] = "locat.tasks.convert:convert"
    outputs: ClassVar[dict[str, str]] = {"train": "train.beton", "val": "val.beton"}
    artifacts: ClassVar[str] = "**/*.[jp][sn][og]*"
    """Manifests and figures: .json and .png, not the images."""

    task: Literal["convert"]
    dataset: Dataset = DigitsScenes()
    workers: PositiveInt = 1
    """Processes that read, verify and encode images."""
    shorter_side: PositiveInt | None = None
    """Pixels to which the shorter side of larger images is brought down; by default images stay as they are."""
    jpeg_quality: Annotated[Int, Field(ge=1, le=100)] = 95
    """Of images that had to be encoded again; a JPEG that stays as it is keeps its bytes."""
    most_pixels: PositiveInt = 500_000_000
    """Of an image, which takes 3 bytes per pixel while it is decoded; larger ones count as undecodable."""
    read_timeout: PositiveFloat = 300.0
    """Seconds in which an image must be read and encoded, or a folder listed; a mount that does not answer fails the
    job and names the file."""
    most_bad: Fraction = 0.0
    """Share of a split's images that may be undecodable; they are left out and listed. More fail the job."""
    max_shard_gb: Annotated[PositiveFloat, Field(ge=0.05)] | None = None
    """Gigabytes, of 10^9 bytes, that a file has at most: a split becomes a folder of as many as it takes
    (docs/datasets.md); by default one file."""

    @classmethod
    def reading(cls, values: Mapping[str, Any]) -> type["ConvertConfig"]:
        dataset = values.get("dataset")
        name = dataset.get("name") if isinstance(dataset, Mapping) else None
        return _knowing(name) if isinstance(name, str) and name not in DATASETS.built_in else ConvertConfig

    @classmethod
    def with_installed(cls) -> type["ConvertConfig"]:
        return _knowing(*DATASETS)

    def storage(self, costs: Costs) -> float:
        return self.dataset.stored_bytes()

    def images(self) -> tuple[float, float]:
        return self.dataset.images()


@cache
def _knowing(*names: str) -> type[ConvertConfig]:
    """The config with the datasets of installed packages: these by their keys, of others, not imported, the name alone.

    So pydantic tells datasets apart by one union, wherever they come from, and messages list them all.
    """
    installed = DATASETS.installed
    if not installed:
        return ConvertConfig
    only_named: dict[str, dict[str, Any]] = {name: {"name": (Literal[name], ...)} for name in installed}
    classes = [
        DATASETS[name] if name in names else create_model(name, __base__=Source, **only_named[name])
        for name in installed
    ]
    known: Any = Union[(*DATASETS.built_in.values(), *classes)]
    field: dict[str, Any] = {"dataset": (known, Field(DigitsScenes(), discriminator="name"))}
    return create_model(ConvertConfig.__name__, __base__=ConvertConfig, **field)


def forget_installed() -> None:
    """Look for installed packages anew."""
    DATASETS.forget_installed()
    _knowing.cache_clear()
