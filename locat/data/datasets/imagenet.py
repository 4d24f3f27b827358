"""ImageNet-1K (ILSVRC2012) as its owners distribute it, or unpacked; the tars are read in place.

Both give the same samples in the same order: by class, whose numbers are in the order of the WNIDs, then by name.
"""

import io
import re
import tarfile
from pathlib import Path

from scipy.io import loadmat

from locat.config.datasets import ImageNet
from locat.contract.errors import DataError
from locat.data.datasets.base import ImageFile, ImageFiles, Split
from locat.data.datasets.image_folder import image_folders
from locat.data.datasets.tars import opened, read_member, regular
from locat.data.intake.files import is_folder

NAME = "ImageNet-1K"
TRAIN = "ILSVRC2012_img_train.tar"
VAL = "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
SYNSETS = "data/meta.mat"  # in the devkit, below a folder of its own name
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"

CLASS_TAR = re.compile(r"(?:.*/)?(n\d{8})\.tar")
VAL_IMAGE = re.compile(r"(?:.*/)?ILSVRC2012_val_(\d{8})\.JPEG")


def from_config(config: ImageNet) -> dict[Split, ImageFiles]:
    """As `imagenet`."""
    return imagenet(config.source)


def imagenet(source: Path) -> dict[Split, ImageFiles]:
    """Both splits of the tree or the tars in `source`.

    Raises:
        DataError: `source` holds neither, or an archive is damaged or not what its name says.
    """
    if is_folder(source / "train") and is_folder(source / "val"):
        return image_folders(source / "train", source / "val", NAME)
    for name in (TRAIN, VAL, DEVKIT):
        if not (source / name).is_file():
            raise DataError(
                f"{source}: expected the folders train and val, each with a folder per WNID, or {TRAIN}, {VAL} and "
                f"{DEVKIT}, but {name} is missing; download it into this folder"
            )
    wnids, train = read_train(source / TRAIN)
    return {"train": train, "val": read_val(source / VAL, source / DEVKIT, wnids)}


def read_train(path: Path) -> tuple[tuple[str, ...], ImageFiles]:
    """The WNIDs in their order, and the images of the tar of a tar per class."""
    found = []
    with opened(path) as archive:
        for member in regular(archive):
            match = CLASS_TAR.fullmatch(member.name)
            inner = archive.extractfile(member)
            if match is None or inner is None:
                raise DataError(f"{path}: holds {member.name} where WNID.tar was expected; download it again")
            with opened(path, inner) as images:
                # Not compressed either: where an image lies within its tar tells where it lies in the whole.
                found += [
                    (match[1], f"{match[1]}/{image.name}", member.offset_data + image.offset_data, image.size)
                    for image in regular(images)
                ]
    return tar_images(path, found)


def read_val(path: Path, devkit: Path, wnids: tuple[str, ...]) -> ImageFiles:
    """The images of the flat tar; the devkit knows their classes."""
    truth = read_devkit(devkit)
    found = []
    with opened(path) as archive:
        for image in regular(archive):
            match = VAL_IMAGE.fullmatch(image.name)
            if match is None or not 1 <= int(match[1]) <= len(truth):
                raise DataError(
                    f"{path}: {image.name} is none of the {len(truth)} validation images that {devkit.name} knows; "
                    "download both again"
                )
            wnid = truth[int(match[1]) - 1]
            found.append((wnid, f"{wnid}/{Path(image.name).name}", image.offset_data, image.size))
    if len(found) != len(truth):
        raise DataError(f"{path}: {len(found)} images where {devkit.name} knows {len(truth)}; download it again")
    classes, files = tar_images(path, found)
    if classes != wnids:
        raise DataError(
            f"{path}: its images are of {len(classes)} classes, which are not the {len(wnids)} of {TRAIN}; "
            "download both again"
        )
    return files


def read_devkit(path: Path) -> list[str]:
    """WNIDs of the validation images in the order of their numbers."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            folder = path.name.removesuffix(".tar.gz")
            synsets, truth = (read_member(archive, f"{folder}/{name}") for name in (SYNSETS, GROUND_TRUTH))
        table = loadmat(io.BytesIO(synsets), squeeze_me=True)["synsets"]
        wnids = {int(number): str(wnid) for number, wnid in zip(table["ILSVRC2012_ID"], table["WNID"], strict=True)}
        return [wnids[int(line)] for line in truth.split()]
    except Exception as error:  # scipy and zlib raise anything where a file is damaged
        expected = f"the devkit with {SYNSETS} and {GROUND_TRUTH}"
        raise DataError(f"{path}: not {expected} ({error!r}); download it again") from error


def tar_images(path: Path, found: list[tuple[str, str, int, int]]) -> tuple[tuple[str, ...], ImageFiles]:
    """The classes and images of a tar, of which (WNID, name, offset, size) were found."""
    classes = tuple(sorted({wnid for wnid, *_ in found}))
    labels = {wnid: label for label, wnid in enumerate(classes)}
    files = tuple(ImageFile(name, labels[wnid], str(path), offset, size) for wnid, name, offset, size in sorted(found))
    return classes, ImageFiles(NAME, classes, files)
