"""Datasets as their owners distribute them: one file per source."""

from collections.abc import Mapping

from locat.config import datasets as config
from locat.data.datasets.base import Dataset, Split


def open_dataset(dataset: config.Dataset) -> Mapping[Split, Dataset]:
    """The splits of a dataset, listed and checked; images are read later.

    Raises:
        DataError: the source is missing, or is not laid out as its owner distributes it.
    """
    # Imported where they are needed: scikit-learn and scipy take seconds.
    match dataset:
        case config.DigitsScenes():
            from locat.data.datasets.digits import digits

            return digits(dataset)
        case config.ImageFolder():
            from locat.data.datasets.image_folder import image_folders

            return image_folders(dataset.train, dataset.val)
        case config.ImageNet():
            from locat.data.datasets.imagenet import imagenet

            return imagenet(dataset.source)
        case config.MiniImageNet():
            from locat.data.datasets.mini_imagenet import mini_imagenet

            return mini_imagenet(dataset.source)
        case config.Cifar100():
            from locat.data.datasets.cifar100 import cifar100

            return cifar100(dataset.source)
        case config.Ade20k():
            from locat.data.datasets.ade20k import ade20k

            return ade20k(dataset.source, dataset.complete)
        case config.PascalContext():
            from locat.data.datasets.pascal_context import pascal_context

            return pascal_context(dataset.source, dataset.complete)
        case config.CocoStuff():
            from locat.data.datasets.coco_stuff import coco_stuff

            return coco_stuff(dataset.source, dataset.complete)
