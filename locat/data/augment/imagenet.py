"""The supervised recipe on ImageNet (docs/method.md section 4), after the loader's crop and flip."""

from collections.abc import Sequence

import torch

from locat.config.augmentation import ImageNetAugmentation
from locat.data.augment.colour_jitter import ColourJitter, apply_jitter, draw_jitter
from locat.data.augment.draws import Draws
from locat.data.augment.erasing import draw_boxes, erase
from locat.data.augment.mixup import Mix, draw_mix, groups, mix_images, mix_targets
from locat.data.augment.normalise import normalize
from locat.data.augment.own import apply_own
from locat.data.augment.rand_augment import apply_layer, draw_layers


class ImageNetTransform:
    """RandAugment, normalisation, mixup or cutmix, then erasing: timm's operations in the order of its prefetcher.

    Colour jitter is there for other recipes: the released code passes 0.4, but timm, which it runs, leaves jitter out
    beside RandAugment. A sample's pixels before mixup depend on (seed, epoch, index) alone, and so does what is erased;
    mixup depends on (seed, epoch, batch), the sample's group in the batch and its neighbour.

    Args:
        config: the recipe.
        classes: number of classes.
        label_smoothing: share of a target spread evenly over the classes.
        mean, std: of each channel's values in 0..1; the mean also fills what RandAugment moves in from outside.
        seed: of all draws.
    """

    def __init__(
        self,
        config: ImageNetAugmentation,
        classes: int,
        label_smoothing: float,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        self.config, self.classes, self.label_smoothing = config, classes, label_smoothing
        self.mean, self.std, self.seed = mean, std, seed

    def __call__(
        self, images: torch.Tensor, target: torch.Tensor, index: torch.Tensor, epoch: int, batch: int, start: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 (n, 3, H, W) and labels int64 (n,) as float32 images and probabilities (n, classes).

        The n samples, numbers `index` int64 (n,) on the CPU, are an even-sized piece of the epoch's global batch
        number `batch`, of which `start` others, an even number, come before them.
        """
        numbers, sizes = zip(*groups(start, len(images), self.config.mixup_group), strict=True)
        height, width = images.shape[2:]
        mixes = [self.draw_mix(epoch, batch, height, width, group) for group in numbers]
        parts = zip(self.vary(images, index, epoch).split(sizes), target.split(sizes), mixes, strict=True)
        pairs = [
            (mix_images(some, mix), mix_targets(labels, mix, self.classes, self.label_smoothing))
            for some, labels, mix in parts
        ]
        mixed, targets = (torch.cat(each) for each in zip(*pairs, strict=True))
        draws = Draws(self.seed, epoch, index)
        erase(mixed, draw_boxes(draws, self.config.erasing, height, width), draws)
        return mixed, targets

    def vary(self, images: torch.Tensor, index: torch.Tensor, epoch: int) -> torch.Tensor:
        """What happens to each image by itself before it is mixed: float32 (n, 3, H, W)."""
        draws = Draws(self.seed, epoch, index)
        images = images.clone(memory_format=torch.contiguous_format)
        if self.config.rand_augment is not None:
            red, green, blue = (round(255 * value) for value in self.mean)
            for layer in draw_layers(self.config.rand_augment, draws, self.config.interpolation):
                apply_layer(images, layer, (red, green, blue))
        for place, name in enumerate(self.config.own):
            images = apply_own(name, images, draws.in_stream(place))
        if strength := self.config.colour_jitter:
            jitter = draw_jitter(ColourJitter(strength, strength, strength), draws)
            apply_jitter(images, jitter, torch.ones(len(images), dtype=torch.bool))
        return normalize(images, self.mean, self.std)

    def draw_mix(self, epoch: int, batch: int, height: int, width: int, group: int = 0) -> Mix:
        """How a group of the epoch's batch number `batch` is mixed."""
        return draw_mix(
            mixup=self.config.mixup,
            cutmix=self.config.cutmix,
            height=height,
            width=width,
            seed=self.seed,
            epoch=epoch,
            batch=batch,
            group=group,
        )
