import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional as F

from locat.tasks.classification.neighbours import Neighbours, hits, nearest, votes

TEMPERATURE = 0.07


def literal(query: Tensor, features: Tensor, labels: Tensor, k: int) -> dict[int, float]:
    """Votes of one query, one neighbour at a time."""
    cosines = [sum(a * b for a, b in zip(query.tolist(), feature.tolist(), strict=True)) for feature in features]
    closest = sorted(range(len(cosines)), key=lambda index: -cosines[index])[:k]
    found: dict[int, float] = defaultdict(float)
    for index in closest:
        found[int(labels[index])] += math.exp(cosines[index] / TEMPERATURE)
    return found


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_votes_are_those_of_a_literal_loop(chunk: int) -> None:
    torch.manual_seed(0)
    features, labels = F.normalize(torch.randn(60, 8), dim=1), torch.randint(5, (60,))
    queries = F.normalize(torch.randn(9, 8), dim=1)
    neighbours = nearest(queries, features, labels, 20, chunk)
    for k in (1, 10, 20):
        found = votes(neighbours, k, 5, TEMPERATURE)
        for query, row in zip(queries, found, strict=True):
            expected = literal(query, features, labels, k)
            assert row.tolist() == pytest.approx([expected.get(label, 0.0) for label in range(5)], rel=1e-4)


def test_accuracy_is_scikit_learns_with_the_same_weights() -> None:
    digits = load_digits()
    features = F.normalize(torch.tensor(digits.data, dtype=torch.float64) + 0.1, dim=1)
    labels = torch.tensor(digits.target)
    train, val = slice(0, 900), slice(900, None)

    def weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp((1 - distances) / TEMPERATURE)

    neighbours = nearest(features[val], features[train], labels[train], 200, chunk=128)
    for k in (10, 20, 100, 200):
        classifier = KNeighborsClassifier(k, weights=weights, metric="cosine", algorithm="brute")
        classifier.fit(features[train], labels[train])
        likelihood = classifier.predict_proba(features[val])
        found = votes(neighbours, k, 10, TEMPERATURE)
        np.testing.assert_allclose(found / found.sum(1, keepdim=True), likelihood, rtol=1e-6, atol=1e-9)
        top1, top5 = hits(found, labels[val], (1, 5))
        assert top1 / 897 == pytest.approx(classifier.score(features[val], labels[val]))
        assert top1 < top5


def test_a_class_without_votes_is_not_among_the_best() -> None:
    neighbours = Neighbours(torch.tensor([[0.9, 0.8]]), torch.tensor([[3, 3]]))
    found = votes(neighbours, 2, 4, TEMPERATURE)
    assert [hits(found, torch.tensor([label]), (1, 5)) for label in (0, 3)] == [[0, 0], [1, 1]]
