"""Inputs of `locat::gaussian_attention`, what it gives for them, and what is true."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locat.models.gaug import Gaussians
from locat.models.kernels.operator import gaussian_attention
from locat.models.rotated import RotatedGaussians

EXTREMES = {
    "narrow": {"variance": 1e-6},
    "wide": {"variance": 196.1},
    "flat": {"height": 0.0},
    "high": {"height": 50.0},
    "sharp": {"queries": 1e3},
}
"""What is set to one value everywhere, or multiplied ("sharp": logits of about 1e4)."""


@dataclass
class Case:
    grid: tuple[int, int]
    initial: tuple[int, int]
    prefix: int
    images: int = 2
    heads: int = 2
    head_dim: int = 4
    dtype: torch.dtype = torch.float32
    tilted: bool = False
    extreme: str = ""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self):
        generator = torch.Generator().manual_seed(self.seed)
        patches = self.grid[0] * self.grid[1]
        tokens = self.prefix + patches
        double = {"generator": generator, "dtype": torch.float64}
        # As a layer has them: q, k and v of one product, the output's gradient by token.
        self.qkv = torch.randn(self.images, tokens, 3, self.heads, self.head_dim, **double)
        self.weights = torch.randn(self.images, tokens, self.heads, self.head_dim, **double).transpose(1, 2)
        self.shapes = torch.rand(self.images, self.heads, patches, 4 if self.tilted else 3, **double) * 3 + 0.1
        extreme = EXTREMES.get(self.extreme, {})
        if "height" in extreme:
            self.shapes[..., 0] = extreme["height"]
        if "variance" in extreme:
            self.shapes[..., 1:3] = extreme["variance"]
        self.qkv[:, :, 0] *= extreme.get("queries", 1.0)
        self.qkv = self.qkv.to(self.device, self.dtype)
        self.weights = self.weights.to(self.device, self.dtype)
        self.shapes = self.shapes.to(self.device, torch.promote_types(self.dtype, torch.float32))

    def inputs(self) -> list[Tensor]:
        """q, k, v and shapes, which want gradients."""
        return [part.detach().requires_grad_() for part in (*self.qkv.permute(2, 0, 3, 1, 4), self.shapes)]

    def turned_inputs(self) -> list[Tensor]:
        """The same numbers, each of the four in another order in memory."""
        q, k, v, shapes = self.inputs()
        turned = (
            q.mT.contiguous().mT,
            k.contiguous(),
            v.transpose(0, 2).contiguous().transpose(0, 2),
            shapes.mT.clone().mT,
        )
        return [part.detach().requires_grad_() for part in turned]

    def results(self) -> list[Tensor]:
        """The operator's output, and gradients of q, k, v and shapes."""
        inputs = self.inputs()
        out, _ = gaussian_attention(*inputs, self.grid, self.initial, True)
        return [out.detach(), *torch.autograd.grad(out, inputs, self.weights)]

    def exact(self) -> list[Tensor]:
        """What `results` should be, in float64 from the same inputs."""
        q, k, v, shapes = inputs = [part.detach().double().requires_grad_() for part in self.inputs()]
        parts = shapes[..., :1], shapes[..., 1:3], *([shapes[..., 3:]] if self.tilted else [])
        gaussians = (RotatedGaussians if self.tilted else Gaussians)(*parts, self.grid, self.initial)
        out = (q @ k.mT * self.head_dim**-0.5 + gaussians.bias(self.prefix)).softmax(-1) @ v
        return [out.detach(), *torch.autograd.grad(out, inputs, self.weights.double())]


def errors(case: Case) -> float:
    """The largest of the relative errors of output and gradients."""
    least = 0.1 if case.dtype.itemsize >= 4 else 1.0
    return max(relative(*both, least) for both in zip(case.results(), case.exact(), strict=True))


def relative(result: Tensor, exact: Tensor, least: float = 0.1) -> float:
    """Largest difference by the largest value, or by `least` (what cancels is as exact as its terms); NaN is wrong."""
    error = (result.detach().double() - exact).abs().max() / exact.abs().max().clamp(min=least)
    return float(error.nan_to_num(nan=float("inf")))
