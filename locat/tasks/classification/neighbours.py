"""Weighted k-nearest-neighbour classification (Wu et al. 2018; Caron et al. 2021, section 4.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 65_536
"""Training features that are compared with a batch of queries at once."""


class Neighbours(NamedTuple):
    """The nearest training samples of n queries, nearest first."""

    similarity: Tensor
    """Cosine, float (n, k)."""
    label: Tensor
    """int64 (n, k)."""


def nearest(queries: Tensor, features: Tensor, labels: Tensor, k: int, chunk: int = CHUNK) -> Neighbours:
    """The k nearest of `features` (N, dim) with `labels` (N,) to each of `queries` (n, dim), all of unit length.

    No more than n * (chunk + k) similarities exist at a time.
    """
    similarity = queries.new_empty((len(queries), 0))
    label = labels.new_empty((len(queries), 0))
    for some_features, some_labels in zip(features.split(chunk), labels.split(chunk), strict=True):
        similarity = torch.cat([similarity, queries @ some_features.T], dim=1)
        label = torch.cat([label, some_labels.expand(len(queries), -1)], dim=1)
        similarity, order = similarity.topk(min(k, similarity.shape[1]))
        label = label.gather(1, order)
    return Neighbours(similarity, label)


def votes(neighbours: Neighbours, k: int, classes: int, temperature: float) -> Tensor:
    """Sum of exp(cosine / temperature) of each class among the k nearest: float64 (n, classes)."""
    weights = (neighbours.similarity[:, :k].double() / temperature).exp()
    return weights.new_zeros((len(weights), classes)).scatter_add_(1, neighbours.label[:, :k], weights)


def hits(votes: Tensor, truth: Tensor, tops: Sequence[int]) -> list[int]:
    """How many of the n queries have their true class among the best, for each of `tops`.

    A class without votes is never among the best.
    """
    best = votes.topk(min(max(tops), votes.shape[1]))
    right = (best.indices == truth[:, None]) & (best.values > 0)
    return [int(right[:, :top].sum()) for top in tops]
