"""Images a second of our loader, torchvision's and timm's, from the same JPEG files in one run.

    python benchmarks/loader.py [--samples 800] [--threads 2]

The files are like photographs (`picture`): 500 x 375 pixels, quality 95, about 50 KB. All three shuffle, crop at
random to 224 pixels, mirror, and yield whole uint8 batches; torchvision's and timm's read with Pillow in as many
processes as we have threads. For DINO's ten crops the others are torchvision's transforms, ten for each image
decoded once, and ten separate pipelines, each of which decodes. The loaders take turns, and each figure is the
median of its epochs after one to warm up.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.data import create_dataset, create_loader
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from locat.data import beton
from locat.data.datasets.image_folder import image_folder
from locat.data.loader import Loader
from locat.data.position import Position
from locat.data.reader import ReadSettings
from locat.data.views import RandomResizedCrop

BATCH_SIZE = 64
EPOCHS = 5
CLASSES = 10
SUPERVISED = [(224, (0.08, 1.0))]
DINO = [(224, (0.4, 1.0))] * 2 + [(96, (0.05, 0.4))] * 8

Crops = list[tuple[int, tuple[float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=800)
    parser.add_argument("--threads", type=int, default=2, help="our threads, and the others' worker processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "jpeg", options.samples)
        files = ImageFolder(str(folder / "jpeg"))
        size = statistics.mean(Path(file).stat().st_size for file, _ in files.samples)
        print(f"{len(files)} JPEG files of {size / 1000:.0f} KB on average, {options.threads} threads or processes")
        path = folder / "train.beton"
        beton.write(path, image_folder(folder / "jpeg"), 1, lambda done: None)

        compare(
            {
                "ours": ours(path, SUPERVISED, options.threads),
                "torchvision": torchvisions(folder / "jpeg", SUPERVISED, options.threads),
                "timm": timms(folder / "jpeg", options.threads),
            },
            "one crop of 224",
        )
        rates = compare(
            {
                "ours": ours(path, DINO, options.threads),
                "torchvision": torchvisions(folder / "jpeg", DINO, options.threads),
                **{
                    f"one pipeline of {crop[0]}": torchvisions(folder / "jpeg", [crop], options.threads)
                    for crop in (DINO[0], DINO[-1])
                },
            },
            "DINO's ten crops",
        )
        separate = 1 / sum(1 / rates[f"one pipeline of {size}"] for size, _ in DINO)
        print(f"  ten separate pipelines {separate:,.0f} images/s, ratio {rates['ours'] / separate:.2f}")


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


def write_pictures(folder: Path, count: int) -> None:
    """A folder for each class, half of the images upright."""
    random = np.random.default_rng(0)
    for index in range(count):
        path = folder / str(index % CLASSES) / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(random, *((375, 500) if index % 4 else (500, 375))).save(path, quality=95)


Epoch = Callable[[int], Iterable[int]]
"""The sizes of the batches of an epoch, once each is there."""


def ours(path: Path, crops: Crops, threads: int) -> Epoch:
    views = [RandomResizedCrop(*crop) for crop in crops]
    loader = Loader(path, ReadSettings(BATCH_SIZE, threads=threads), views=views, train=True)
    return lambda epoch: (len(batch) for batch, _ in loader.batches(Position(epoch=epoch)))


def torchvisions(folder: Path, crops: Crops, processes: int) -> Epoch:
    cuts = [
        transforms.Compose(
            [transforms.RandomResizedCrop(size, scale), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
        )
        for size, scale in crops
    ]
    dataset = ImageFolder(str(folder), lambda image: [cut(image) for cut in cuts])
    loader = DataLoader(
        dataset, BATCH_SIZE, shuffle=True, drop_last=True, num_workers=processes, persistent_workers=True
    )
    return lambda epoch: (len(labels) for _, labels in loader)


def timms(folder: Path, processes: int) -> Epoch:
    loader = create_loader(
        create_dataset("", str(folder)),
        (3, 224, 224),
        BATCH_SIZE,
        is_training=True,
        scale=(0.08, 1.0),
        interpolation="random",
        color_jitter=None,
        use_prefetcher=True,
        num_workers=processes,
        device=torch.device("cpu"),
    )
    return lambda epoch: (len(labels) for _, labels in loader.loader)  # uint8, before it is normalised


def compare(loaders: dict[str, Epoch], title: str) -> dict[str, float]:
    """Images a second of each loader's median epoch."""
    seen: dict[str, list[float]] = {name: [] for name in loaders}
    for epoch in range(EPOCHS + 1):
        for name, batches in loaders.items():
            start = time.perf_counter()
            images = sum(batches(epoch))
            seen[name].append(images / (time.perf_counter() - start))
    rates = {name: statistics.median(values[1:]) for name, values in seen.items()}
    print(title)
    for name, rate in rates.items():
        print(f"  {name} {rate:,.0f} images/s, ours is {rates['ours'] / rate:.2f} times that")
    return rates


if __name__ == "__main__":
    main()
