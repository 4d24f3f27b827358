"""Whether the loader keeps up with a GPU: images a second of reading alone, of training alone, and of both together.

    python benchmarks/gpu/feeding.py [--rehearse]

JPEG files like photographs (`picture` in benchmarks/loader.py) are cut to one crop of 224 by as many threads as there
are cores, and varied on the device by the whole recipe of ImageNet; LocAtViT-Base is trained on them at batch 256.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from attention_measuring import synchronize, write
from attention_step import Training
from loader import write_pictures
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor
from torch.nn import functional as F

from locat.config.augmentation import ImageNetAugmentation
from locat.data.augment import ImageNetTransform
from locat.data.cores import available_cores
from locat.data.loader import Loader
from locat.data.reader import ReadSettings
from locat.data.views import RandomResizedCrop

CLASSES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="few images and one small block, on the CPU")
    rehearse = parser.parse_args().rehearse
    problem = {"device": "cuda", "batch": 256, "image": 224, "depth": 12, "compile": True}
    pictures, steps = 2048, 24
    if rehearse:
        problem = {"device": "cpu", "batch": 4, "image": 32, "depth": 1, "compile": False}
        pictures, steps = 10, 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "jpeg", folder / "train.beton", pictures)
        found = measure(folder / "train.beton", problem, steps)
    write(f"loader-{problem['device']}", str(problem["device"]), {"what": "loader", "settings": problem, **found})
    print(found)


def measure(path: Path, problem: dict[str, Any], steps: int) -> dict[str, float]:
    device, batch, size = torch.device(problem["device"]), problem["batch"], problem["image"]
    threads = available_cores()
    settings = ReadSettings(batch, threads=threads, device=device)
    loader = Loader(path, settings, views=[RandomResizedCrop(size, (0.08, 1.0))], train=True)
    recipe = ImageNetTransform(ImageNetAugmentation(), CLASSES, 0.1, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, 0)
    training = Training("tiny" if problem["depth"] == 1 else "base", "ours", argparse.Namespace(**problem))

    def read() -> Iterator[tuple[Tensor, Tensor]]:
        for given, position in loader.stream():
            yield recipe(given.image, given.target, given.index, position.epoch, position.batch)

    def fed(images: Tensor, targets: Tensor) -> None:
        with training.precision():
            loss = F.cross_entropy(training.model(images), targets)
        loss.backward()
        training.optimizer.step()
        training.optimizer.zero_grad()

    targets = F.one_hot(training.labels, CLASSES).float()
    return {
        "threads": threads,
        "read_images_per_s": batch / pace((lambda: None for _ in loader.stream()), steps),
        "varied_images_per_s": batch / pace((lambda: None for _ in read()), steps),
        "trained_images_per_s": batch / pace((lambda: fed(training.images, targets) for _ in range(steps + 2)), steps),
        "fed_images_per_s": batch / pace(((lambda given=given: fed(*given)) for given in read()), steps),
    }


def pace(work: Iterator[Any], steps: int) -> float:
    """Seconds of one of `steps` pieces of work, waiting for each included; two come before, to warm up."""
    for _ in range(2):
        next(work)()
    synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        next(work)()
    synchronize()
    return (time.perf_counter() - start) / steps


if __name__ == "__main__":
    main()
