"""What happens to the images of a batch after the loader, on their device (docs/method.md section 4).

Every draw is a function of (seed, epoch, sample, operation), so that the pixels of a sample in an
epoch depend on nothing else; only mixup draws for a whole batch.
"""

from locat.data.augment.dino import DinoTransform
from locat.data.augment.imagenet import ImageNetTransform
from locat.data.augment.normalise import denormalize, normalize
from locat.data.augment.shift import ShiftTransform

__all__ = ["DinoTransform", "ImageNetTransform", "ShiftTransform", "denormalize", "normalize"]
