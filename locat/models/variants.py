"""GAug's ablations (LocAt paper, Tab. 6 and App. D), and its variants by the names that the `gaug` argument takes."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from locat.models.gaug import GAug, Grid, at_least_float32
from locat.models.rotated import Rotated


class FromInput(GAug):
    """Variance and height from the tokens x instead of the queries: each head has its own maps from dim."""

    def maps(self) -> dict[str, tuple[int, int]]:
        dim = self.head_dim * self.num_heads
        return {"log_var": (dim, 2 * self.num_heads), "log_alpha": (dim, self.num_heads)}

    def read(self, q: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {name: self._per_head(values) for name, values in self.of_maps(x).items()}

    def _per_head(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:2], self.num_heads, -1).transpose(1, 2)


class Isotropic(GAug):
    """One variance for both axes."""

    def maps(self) -> dict[str, tuple[int, int]]:
        return {"log_var": (self.head_dim, 1), "log_alpha": (self.head_dim, 1)}

    def variance(self, read: Mapping[str, Tensor], q: Tensor, initial_grid: Grid) -> Tensor:
        return super().variance(read, q, initial_grid).expand(-1, -1, -1, 2)


class Unscaled(GAug):
    """alpha = 1."""

    def maps(self) -> dict[str, tuple[int, int]]:
        return {"log_var": (self.head_dim, 2)}

    def alpha(self, read: Mapping[str, Tensor], q: Tensor, k: Tensor) -> Tensor:
        return at_least_float32(torch.ones_like(q[..., :1]))


class Fixed(Unscaled):
    """The same Gaussian for every patch, of standard deviation `sigma` patches; nothing is learned, alpha = 1."""

    def __init__(self, *args: Any, sigma: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sigma = sigma

    def maps(self) -> dict[str, tuple[int, int]]:
        return {}

    def read(self, q: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {}

    def variance(self, read: Mapping[str, Tensor], q: Tensor, initial_grid: Grid) -> Tensor:
        return at_least_float32(torch.full_like(q[..., :2], self.sigma**2))


class AutoAlpha(Unscaled):
    """alpha without parameters: the mean over all keys, [CLS]'s too (Eq. 18), of |q_i| |k_j| / sqrt(head_dim)."""

    def alpha(self, read: Mapping[str, Tensor], q: Tensor, k: Tensor) -> Tensor:
        query, keys = (torch.linalg.vector_norm(at_least_float32(part), dim=-1, keepdim=True) for part in (q, k))
        alpha: Tensor = query * keys.mean(dim=2, keepdim=True) / math.sqrt(self.head_dim)
        return alpha


VARIANTS: dict[str, Callable[..., GAug]] = {
    "paper": GAug,
    "from-input": FromInput,
    "isotropic": Isotropic,
    "fixed-1": partial(Fixed, sigma=1.0),
    "fixed-5": partial(Fixed, sigma=5.0),
    "fixed-10": partial(Fixed, sigma=10.0),
    "unscaled": Unscaled,
    "auto-alpha": AutoAlpha,
    "rotated": Rotated,
}
