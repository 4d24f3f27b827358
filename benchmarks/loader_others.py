"""The loaders that `loader.py` compares ours with, each as its own documentation says to use it.

All read the same pictures, crop them at random to `size`, mirror them and yield whole uint8 batches. Each works in one
process and one thread: from worker processes, batches cost more.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

BATCH_SIZE = 64
RATIO = (3 / 4, 4 / 3)
INSTALL_SPDL = "python -m pip install spdl-core==0.8.0 spdl-io==0.8.0; apt-get install libavdevice59 libavfilter8"

Crops = list[tuple[int, tuple[float, float]]]
"""Of each view its height and width, and the least and the largest part of the image's area."""
Epoch = Callable[[int], Iterable[int]]
"""The sizes of the batches of an epoch, once each is there."""


def torchvisions(folder: Path, crops: Crops) -> Epoch:
    """All views of an image that is decoded once, by Pillow."""
    cuts = [
        transforms.Compose(
            [transforms.RandomResizedCrop(size, scale), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
        )
        for size, scale in crops
    ]
    dataset = ImageFolder(str(folder), lambda image: [cut(image) for cut in cuts])
    loader = DataLoader(dataset, BATCH_SIZE, shuffle=True, drop_last=True)
    return lambda epoch: (len(labels) for _, labels in loader)


def timms(folder: Path, size: int, scale: tuple[float, float]) -> Epoch:
    from timm.data import create_dataset, create_loader

    loader = create_loader(
        create_dataset("", str(folder)),
        (3, size, size),
        BATCH_SIZE,
        is_training=True,
        scale=scale,
        interpolation="random",
        color_jitter=None,
        use_prefetcher=True,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    return lambda epoch: (len(labels) for _, labels in loader.loader)  # uint8, before it is normalised


def ffcvs(beton: Path, size: int, scale: tuple[float, float]) -> Epoch:
    """FFCV's own pipeline on the same .beton file: its fast inverse transform, and OpenCV's area filter."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor

    pipelines = {
        "image": [RandomResizedCropRGBImageDecoder((size, size), scale, RATIO), RandomHorizontalFlip(), ToTensor()],
        "label": [IntDecoder(), ToTensor()],
    }
    order = OrderOption.RANDOM
    loader = Loader(str(beton), BATCH_SIZE, num_workers=1, os_cache=True, order=order, pipelines=pipelines)
    return lambda epoch: (len(labels) for _, labels in loader)


def spdls(folder: Path, size: int, scale: tuple[float, float]) -> Epoch:
    """SPDL: FFmpeg decodes, crops and resizes in a filter graph per image.

    Raises:
        ImportError: SPDL or FFmpeg's libraries are not there; it names the remedy.
    """
    try:
        import spdl.io
        from spdl.pipeline import PipelineBuilder

        spdl.io.demux_image(ImageFolder(str(folder)).samples[0][0])  # loads FFmpeg's libraries
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"SPDL is left out ({error}); to install it: {INSTALL_SPDL}") from error

    files = ImageFolder(str(folder)).samples

    def decode(sample: tuple[str, int]) -> tuple[Any, int]:
        path, label = sample
        packets = spdl.io.demux_image(path)
        whole = torch.empty((3, packets.height, packets.width), device="meta")
        top, left, height, width = transforms.RandomResizedCrop.get_params(whole, list(scale), list(RATIO))
        steps = [f"crop={width}:{height}:{left}:{top}:exact=1", f"scale={size}:{size}:flags=bilinear"]
        steps += ["hflip"] * int(torch.rand(()) < 0.5) + ["format=rgb24"]
        return spdl.io.decode_packets(packets, filter_desc=",".join(steps)), label

    def collate(samples: list[tuple[Any, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        frames, labels = zip(*samples, strict=True)
        return spdl.io.to_torch(spdl.io.convert_frames(list(frames))), torch.tensor(labels)

    def epoch(number: int) -> Iterator[int]:
        order = torch.randperm(len(files), generator=torch.Generator().manual_seed(number)).tolist()
        builder = PipelineBuilder().add_source([files[at] for at in order]).pipe(decode, concurrency=1)
        pipeline = builder.aggregate(BATCH_SIZE, drop_last=True).pipe(collate).add_sink(3).build(num_threads=1)
        with pipeline.auto_stop():
            for _, labels in pipeline:
                yield len(labels)

    return epoch
