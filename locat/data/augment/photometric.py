"""Changes of the values of uint8 images (n, 3, H, W), each by its own argument (n,), as PIL computes them.

The integers are those of PIL's ImageEnhance and ImageOps, its roundings included; only the hue, which
PIL takes through eight bits, is computed in floating point.
"""

import torch
from torch.nn import functional as F

from locat.data.augment.draws import to_device


def brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from black (above 1) or towards it (below 1)."""
    return blend(torch.zeros((), device=images.device), images, factor)


def contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from the image's mean grey or towards it."""
    sums = luma(images).sum(dim=(1, 2, 3), dtype=torch.float64)
    mean = (sums / images[0, 0].numel() + 0.5).floor().float()
    return blend(mean.view(-1, 1, 1, 1), images, factor)


def saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from the grey image or towards it."""
    return blend(luma(images), images, factor)


def sharpness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from the smoothed image or towards it; the border stays."""
    return blend(smooth(images), images, factor)


def blend(degenerate: torch.Tensor, images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Between `degenerate` (factor 0) and `images` (factor 1) or beyond; fractions are cut off."""
    weight = factor.float().view(-1, 1, 1, 1)
    return (images - degenerate).mul_(weight).add_(degenerate).clamp_(0, 255).byte()


def luma(images: torch.Tensor) -> torch.Tensor:
    """The grey of ITU-R 601 (n, 1, H, W): whole numbers in float32, where PIL's 24-bit sums are exact."""
    red, green, blue = images.split(1, dim=1)
    grey: torch.Tensor = red * 19595.0 + green * 38470.0 + blue * 7471.0
    return grey.add_(32768).div_(65536).floor_()


def grey(images: torch.Tensor) -> torch.Tensor:
    """Three equal channels."""
    return luma(images).byte().expand_as(images)


def smooth(images: torch.Tensor) -> torch.Tensor:
    """The 3 x 3 mean that counts the centre five times (float32, whole numbers); the border is the image's own."""
    values = images.float()
    rows = values[:, :, :-2] + values[:, :, 1:-1] + values[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    total.add_(values[:, :, 1:-1, 1:-1], alpha=4)
    values[:, :, 1:-1, 1:-1] = total.div_(13).add_(0.5).floor_()
    return values


def invert(images: torch.Tensor) -> torch.Tensor:
    return 255 - images


def solarize(images: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Values from `threshold` on are inverted."""
    return torch.where(images < threshold.view(-1, 1, 1, 1), images, 255 - images)


def solarize_add(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Values below 128 become greater by `amount`, 0..128."""
    return torch.where(
        images < 128, images.short().add_(amount.short().view(-1, 1, 1, 1)).clamp_(max=255).byte(), images
    )


def posterize(images: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """The leading `bits`, 0..8, of each value are kept."""
    step = 2 ** (8 - bits.long())
    return images & (256 - step).byte().view(-1, 1, 1, 1)


def autocontrast(images: torch.Tensor) -> torch.Tensor:
    """Each channel's values stretched to 0..255."""
    value = torch.arange(256, device=images.device)
    present = histogram(images) > 0
    low = torch.where(present, value, 256).amin(dim=2, keepdim=True).double()
    high = torch.where(present, value, -1).amax(dim=2, keepdim=True).double()
    scale = torch.full_like(high, 255) / (high - low)  # `255 / x` would be 255 times the rounded 1 / x
    table = (value * scale - low * scale).clamp(0, 255)
    return look_up(torch.where(high > low, table, value).byte(), images)


def equalize(images: torch.Tensor) -> torch.Tensor:
    """Each channel's values spread so that all occur about equally often."""
    value = torch.arange(256, device=images.device)
    counts = histogram(images)
    last = torch.where(counts > 0, value, -1).amax(dim=2, keepdim=True)
    step = (counts.sum(dim=2, keepdim=True) - counts.gather(2, last)) // 255
    below = counts.cumsum(dim=2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    return look_up(torch.where(step > 0, table, value).byte(), images)


def histogram(images: torch.Tensor) -> torch.Tensor:
    """How often each value occurs in each channel, int64 (n, 3, 256)."""
    count, channels = images.shape[:2]
    first = 256 * torch.arange(count * channels, device=images.device)
    places = (images.flatten(2).view(count * channels, -1) + first[:, None]).flatten()
    counts = torch.zeros(256 * count * channels, dtype=torch.int64, device=images.device)  # bincount asks a GPU for it
    return counts.scatter_add_(0, places, torch.ones_like(places)).view(count, channels, 256)


def look_up(table: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Each value replaced by its channel's entry in `table`, uint8 (n, 3, 256)."""
    return table.gather(2, images.flatten(2).long()).view_as(images)


def hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """The hue turned by `turn`, in -0.5..0.5 of the colour circle; value and saturation stay."""
    values = images.float()
    red, green, blue = values.split(1, dim=1)
    high = values.amax(dim=1, keepdim=True)
    chroma = high - values.amin(dim=1, keepdim=True)
    scale = 1 / chroma.clamp(min=1)
    sector = torch.where(
        high == red,
        (green - blue) * scale,
        torch.where(high == green, (blue - red) * scale + 2, (red - green) * scale + 4),
    )
    sector += 6 * turn.float().view(-1, 1, 1, 1)
    channel = to_device(torch.tensor([5.0, 3.0, 1.0]), images.device).view(1, 3, 1, 1)
    distance = (sector + channel).remainder_(6)
    share = torch.minimum(distance, 4 - distance).clamp_(0, 1)
    return (high - share.mul_(chroma)).round_().byte()


BLUR_RADIUS = 6
"""Three standard deviations of the strongest blur."""


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Each image blurred by a Gaussian of `sigma` pixels, at most 2; its border pixels go on outside."""
    count, channels, height, width = images.shape
    offset = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=images.device)
    kernel = torch.softmax(-0.5 * (offset / sigma[:, None]) ** 2, dim=1).float()
    kernel = kernel.repeat_interleave(channels, dim=0)
    planes = images.float().view(1, count * channels, height, width)
    planes = F.pad(planes, (BLUR_RADIUS,) * 4, mode="replicate")
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=count * channels)
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=count * channels)
    return planes.round_().clamp_(0, 255).byte().view_as(images)
