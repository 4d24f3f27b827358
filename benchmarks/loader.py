"""Images a second of our loader against torch's DataLoader, on the same digit scenes in one run.

    python benchmarks/loader.py [--samples 12000] [--threads 2]

The DataLoader reads the scenes the way torchvision's datasets do: one PNG file each, opened with PIL. Both
shuffle, and both yield whole uint8 batches; each figure is the median epoch after one to warm up.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import PILToTensor

from locat.data import beton
from locat.data.digits import DigitScenes
from locat.data.loader import Loader, Place

BATCH_SIZE = 128
EPOCHS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--threads", type=int, default=2, help="decoding threads, and DataLoader worker processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = DigitScenes("train", options.samples)
        write_pngs(scenes, folder / "png")
        beton.write(folder / "train.beton", scenes, options.threads, lambda done: None)

        loader = Loader(folder / "train.beton", BATCH_SIZE, train=True, threads=options.threads)
        dataset = ImageFolder(folder / "png", PILToTensor())
        torch_loader = DataLoader(
            dataset, BATCH_SIZE, shuffle=True, drop_last=True, num_workers=options.threads, persistent_workers=True
        )
        torch.set_num_threads(1)
        ours = rate(lambda epoch: (batch.image for batch, _ in loader.batches(Place(epoch))))
        theirs = rate(lambda epoch: (image for image, _ in torch_loader))
    print(f"ours {ours:,.0f} images/s, DataLoader {theirs:,.0f} images/s, ratio {ours / theirs:.1f}")


def write_pngs(scenes: DigitScenes, folder: Path) -> None:
    """Leave one PNG per scene, in a folder per class."""
    for index in range(len(scenes)):
        image, label, _ = scenes[index]
        path = folder / str(label) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def rate(epoch_images: Callable[[int], Iterable[torch.Tensor]]) -> float:
    """Images a second of the median epoch, the first left out."""
    rates = []
    for epoch in range(EPOCHS + 1):
        start = time.perf_counter()
        images = sum(len(batch) for batch in epoch_images(epoch))
        rates.append(images / (time.perf_counter() - start))
    return statistics.median(rates[1:])


if __name__ == "__main__":
    main()
