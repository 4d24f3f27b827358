"""Labelled patches to be looked up: segmentation by retrieval (Balažević et al. 2023, "Towards In-Context Scene
Understanding", section 3.1)."""

import logging

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from locat.data import counter
from locat.data.labels import IGNORED

logging.getLogger("faiss").setLevel(logging.WARNING)  # else it tells which builds of itself are not there
import faiss  # noqa: E402

ROWS = 2**16
"""Of the bank, that are moved at a time."""


class MemoryBank:
    """Patches' features with their shares of each class; `per_image` places for each of `images`.

    Every rank adds its own images and then all call `gather`, which gives all of them the whole bank: N patches take
    4 N (dim + classes) bytes on each rank. Where a patch stands depends on its image alone, not on who added it when.

    The search is exact: it compares every query with every patch, as faiss's IndexFlatIP does, but without that index's
    copy of the bank. Its cost grows with N: 10 million patches and ADE20K's 2,000 images of 1,024 patches are 2e13
    inner products, some 50 core-hours with 192 dimensions and 200 with 768. Where that is too much, an inverted file
    (IndexIVFFlat, which looks into the nearest cells alone) would be chosen; what it misses then changes the result.
    """

    def __init__(self, images: int, per_image: int, dim: int, classes: int) -> None:
        self._per_image = per_image
        self.features = torch.zeros((images * per_image, dim))
        """Of unit length, (N, dim)."""
        self.shares = torch.zeros((images * per_image, classes))
        """Of each patch's known pixels, the part that each class has, (N, classes)."""

    def __len__(self) -> int:
        return len(self.features)

    def add(self, samples: Tensor, features: Tensor, shares: Tensor, seed: int) -> None:
        """Keep `per_image` patches of each of n images: (n,), (n, patches, dim) of unit length, (n, patches, classes).

        Of an image with fewer patches of which something is known, those.
        """
        if not len(samples):
            return
        patches = shares.shape[1]
        places = samples[:, None] * patches + torch.arange(patches)
        draws = counter.uniform(seed, 0, places.flatten(), counter.Key.KEPT_PATCH).view(places.shape)
        scores, kept = (rarity(shares) * draws).topk(self._per_image, largest=False)
        rows = samples[:, None] * self._per_image + torch.arange(self._per_image)
        image, known = torch.arange(len(samples))[:, None], scores.isfinite()
        self.features[rows[known]] = features[image, kept][known]
        self.shares[rows[known]] = shares[image, kept][known]

    def gather(self) -> None:
        """Put the ranks' patches together, and close up over places that no patch took; every rank calls it, once."""
        if dist.is_initialized():
            for rows in (*self.features.split(ROWS), *self.shares.split(ROWS)):
                dist.all_reduce(rows)  # a rank has zeros where another one has the patch
        taken = self.shares.any(dim=1).nonzero()[:, 0]
        for first in range(0, len(taken), ROWS):  # in place: a patch only ever moves forward
            moved = taken[first : first + ROWS]
            self.features[first : first + len(moved)] = self.features[moved]
            self.shares[first : first + len(moved)] = self.shares[moved]
        self.features, self.shares = self.features[: len(taken)], self.shares[: len(taken)]

    def look_up(self, queries: Tensor, neighbours: int, temperature: float) -> Tensor:
        """Shares of the classes, float (n, classes), of queries (n, dim) of unit length.

        The mean of the nearest patches' shares, weighted by the softmax of cosine / temperature.
        """
        cosine, nearest = faiss.knn(
            queries.numpy(), self.features.numpy(), neighbours, metric=faiss.METRIC_INNER_PRODUCT
        )
        weights = (torch.from_numpy(cosine) / temperature).softmax(dim=1)
        return F.embedding_bag(torch.from_numpy(nearest), self.shares, per_sample_weights=weights, mode="sum")


def class_shares(masks: Tensor, patch: int, classes: int) -> Tensor:
    """Of the known pixels of each patch, the part that each class has: masks uint8 (n, H, W) -> (n, patches, classes).

    Zeros where nothing is known. Patches are squares of `patch` pixels, row by row.
    """
    count, height, width = masks.shape
    rows, columns = height // patch, width // patch
    cells = masks.view(count, rows, patch, columns, patch).transpose(2, 3).reshape(-1, patch**2).long()
    labels = IGNORED + 1
    cells += torch.arange(len(cells), device=cells.device)[:, None] * labels
    counts = cells.flatten().bincount(minlength=len(cells) * labels).view(count, rows * columns, labels)
    known = counts[..., :classes].float()
    return known / known.sum(dim=2, keepdim=True).clamp(min=1)


def rarity(shares: Tensor) -> Tensor:
    """How common in its image what a patch shows is, (n, patches, classes) -> float64 (n, patches); low is rare.

    The sum, over the patch's classes, of how many patches of the image show the class; infinite where nothing is
    known. Times uniform draws, the lowest are a sample in which small classes come as often as large ones.
    """
    shown = (shares > 0).double()
    common = torch.einsum("npc,nc->np", shown, shown.sum(dim=1))
    return torch.where(common > 0, common, torch.inf)
