"""Images per second of one core: our loader and others, on the same pictures in one run.

    python benchmarks/loader.py [--samples 256] [--rounds 15]

What is measured is CPU time, of all threads: other work on the machine disturbs it least. All take turns, and each
figure is the median of its rounds after one to warm up, as are ratios of a round. Pictures are like photographs
(`picture`): 500 x 375 pixels, quality 95, about 50 KB. Then the whole supervised recipe on the CPU, and what
`decode: scaled` gives on larger pictures, and changes. The result is benchmarks/results/loader.json.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from attention_measuring import write
from loader_others import BATCH_SIZE, Crops, Epoch, ffcvs, spdls, timms, torchvisions
from PIL import Image
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from locat.config.augmentation import ImageNetAugmentation
from locat.data import beton
from locat.data.augment.imagenet import ImageNetTransform
from locat.data.datasets.image_folder import image_folder
from locat.data.loader import Loader
from locat.data.position import Position
from locat.data.reader import ReadSettings
from locat.data.views import RandomResizedCrop

CLASSES = 10
SUPERVISED = (224, (0.08, 1.0))
DINO = [(224, (0.4, 1.0))] * 2 + [(96, (0.05, 0.4))] * 8
LARGER = (1, 2, 4)
"""By how much pictures are larger than 500 x 375, for scaled decoding."""
DIFFERENT = 32
"""Pictures; the others are the same again, under other names."""

Decode = Literal["full", "scaled"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"rounds": options.rounds, "others": {}}
    for name in ("torchvision", "pillow", "timm", "ffcv", "spdl-core"):
        try:
            found["others"][name] = version(name)
        except PackageNotFoundError:
            found["others"][name] = None
    with tempfile.TemporaryDirectory() as name:
        jpegs, path = Path(name) / "jpeg", Path(name) / "train.beton"
        found["kilobytes"] = write_pictures(jpegs, path, options.samples)
        loaders = {
            "ours": ours(path, [SUPERVISED]),
            "torchvision": torchvisions(jpegs, [SUPERVISED]),
            "timm": timms(jpegs, *SUPERVISED),
            "FFCV": ffcvs(path, *SUPERVISED),
        }
        try:
            loaders["SPDL"] = spdls(jpegs, *SUPERVISED)
        except ImportError as missing:
            print(missing)
        found["one crop of 224"] = compare("one crop of 224", loaders, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        jpegs, path = Path(name) / "jpeg", Path(name) / "train.beton"
        write_pictures(jpegs, path, BATCH_SIZE)
        loaders = {"ours": ours(path, DINO), "torchvision": torchvisions(jpegs, DINO)}
        found["DINO's ten crops"] = compare("DINO's ten crops", loaders, options.rounds)
        loaders = {"crops": ours(path, [SUPERVISED]), "crops and the rest of the recipe": with_recipe(path)}
        found["recipe"] = compare("the supervised recipe", loaders, options.rounds)
    found["scaled"] = {}
    for larger in LARGER:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "train.beton"
            write_pictures(Path(name) / "jpeg", path, BATCH_SIZE, larger)
            title = f"decode: scaled, one crop of 224 from {500 * larger} x {375 * larger} pixels"
            loaders = {decode: ours(path, [SUPERVISED], decode) for decode in ("scaled", "full")}
            found["scaled"][str(500 * larger)] = compare(title, loaders, options.rounds) | difference(path, SUPERVISED)
    write("loader", "cpu", found)


def picture(random: np.random.Generator, height: int, width: int) -> Image.Image:
    """Noise summed over scales, coarse ones strongest, colours mostly alike: smooth with texture, as a photograph."""
    total = np.zeros((height, width, 3), np.float32)
    for scale, strength in zip((128, 64, 32, 16, 8, 4, 2, 1), 0.62 ** np.arange(8), strict=True):
        noise = random.standard_normal((height // scale + 2, width // scale + 2, 3), np.float32)
        noise = 0.35 * noise + noise.mean(axis=2, keepdims=True)
        for channel in range(3):
            layer = Image.fromarray(np.ascontiguousarray(noise[..., channel]))
            total[..., channel] += strength * np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(128 + 50 * total, 0, 255).astype(np.uint8))


def write_pictures(folder: Path, path: Path, count: int, larger: int = 1) -> float:
    """A folder for each class, one of four upright, and the same as .beton; returns kilobytes of a JPEG."""
    random, pictures = np.random.default_rng(0), []
    for index in range(DIFFERENT):
        content = io.BytesIO()
        size = (375, 500) if index % 4 else (500, 375)
        picture(random, *(side * larger for side in size)).save(content, "JPEG", quality=95)
        pictures.append(content.getvalue())
    for index in range(count):
        file = folder / str(index % CLASSES) / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pictures[index % DIFFERENT])
    beton.write(path, image_folder(folder), 1, lambda done: None)
    return statistics.mean(len(content) / 1000 for content in pictures)


def open_loader(path: Path, crops: Crops, decode: Decode) -> Loader:
    views = [RandomResizedCrop(*crop, decode=decode) for crop in crops]
    return Loader(path, ReadSettings(BATCH_SIZE), views=views, train=True)


def ours(path: Path, crops: Crops, decode: Decode = "full") -> Epoch:
    loader = open_loader(path, crops, decode)
    return lambda epoch: (len(batch) for batch, _ in loader.batches(Position(epoch=epoch)))


def with_recipe(path: Path) -> Epoch:
    """Ours, then RandAugment, colour jitter, normalisation, erasing, mixup and cutmix, as the recipe's defaults are."""
    loader = open_loader(path, [SUPERVISED], "full")
    augment, mean, std = ImageNetAugmentation(), IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    transform = ImageNetTransform(augment, CLASSES, 0.1, mean, std, seed=0)

    def epoch(number: int) -> Iterator[int]:
        position = Position(epoch=number)
        for batch, after in loader.batches(position):
            transform(batch.image, batch.target, batch.index, position.epoch, position.batch)
            position = after
            yield len(batch)

    return epoch


def compare(title: str, loaders: dict[str, Epoch], rounds: int) -> dict[str, dict[str, float]]:
    """Images per second of CPU time: median and quartiles; `ratio` is that of the first loader by this one's."""
    print(title)
    seen: dict[str, list[float]] = {name: [] for name in loaders}
    for epoch in range(rounds + 1):
        for name, batches in loaders.items():
            seen[name].append(rate(batches, epoch))
    first, found = next(iter(loaders)), {}
    for name, values in seen.items():
        low, median, high = statistics.quantiles(values[1:], n=4)
        ratio = statistics.median(own / other for own, other in zip(seen[first][1:], values[1:], strict=True))
        found[name] = {"median": median, "low": low, "high": high, "ratio": ratio}
        print(
            f"  {name} {median:,.0f} images/s of a core ({low:,.0f} to {high:,.0f}); {first} is {ratio:.2f} times that"
        )
    return found


def rate(batches: Epoch, epoch: int) -> float:
    start = time.process_time()
    images = sum(batches(epoch))
    return images / (time.process_time() - start)


def difference(path: Path, crop: tuple[int, tuple[float, float]]) -> dict[str, float]:
    """Between full and scaled decoding, in the crops that are decoded scaled: levels of 255 on average, and dB."""
    squares, levels, scaled, images = [], [], 0, 0
    loaders = (open_loader(path, [crop], decode) for decode in ("full", "scaled"))
    for (full, _), (other, _) in zip(*(loader.batches() for loader in loaders), strict=True):
        apart = (full.image.float() - other.image.float()).flatten(1)
        changed = apart.any(1)
        squares += apart.square().mean(1)[changed].tolist()
        levels += apart.abs().mean(1)[changed].tolist()
        scaled, images = scaled + int(changed.sum()), images + len(full)
    if not scaled:
        return {"share": 0.0}
    psnr = statistics.mean(10 * np.log10(255**2 / square) for square in squares)
    found = {"share": scaled / images, "levels": statistics.mean(levels), "psnr": float(psnr)}
    print(f"  {100 * found['share']:.0f} % of the crops differ, by {found['levels']:.2f} levels, {psnr:.1f} dB")
    return found


if __name__ == "__main__":
    main()
